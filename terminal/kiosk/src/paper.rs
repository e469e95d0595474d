//! What the center says, as documents for the printers. Pure.

use guichet_devices::{Bilingual, ReceiptDoc, ReceiptLine, TicketDoc};
use guichet_link::message::{Amount, BookingLine, Receipt, ServiceKind, Ticket};
use jiff::Timestamp;
use jiff::tz::TimeZone;

/// Why a ticket cannot be made into a document.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum PaperError {
    /// Its code is not hexadecimal.
    #[error("the ticket's code is not hexadecimal")]
    Code,
}

/// `CNY 55.00`: letters of the currency and the amount with its decimals.
#[must_use]
pub fn money(amount: &Amount) -> String {
    let decimals = u32::from(amount.decimals.min(6));
    let unit = 10u64.pow(decimals);
    let magnitude = amount.minor.unsigned_abs();
    let sign = if amount.minor < 0 { "-" } else { "" };
    let (whole, part) = (magnitude / unit, magnitude % unit);
    if decimals == 0 {
        return format!("{} {sign}{whole}", amount.currency);
    }
    format!("{} {sign}{whole}.{part:0width$}", amount.currency, width = decimals as usize)
}

/// Puts an instant into words by a pattern, in a zone; UTC if the zone is not known.
fn words(us: i64, zone: &str, pattern: &str) -> String {
    let zone = TimeZone::get(zone).unwrap_or(TimeZone::UTC);
    let at = Timestamp::from_microsecond(us).unwrap_or(Timestamp::UNIX_EPOCH);
    at.to_zoned_datetime(zone).strftime(pattern).to_string()
}

/// Date and time of departure, and the arrival with the days since where it is not the same day.
fn times(line: &BookingLine) -> Bilingual {
    let date = |us| words(us, &line.zone, "%Y-%m-%d").parse::<jiff::civil::Date>();
    let days = match (date(line.departs), date(line.arrives)) {
        (Ok(from), Ok(to)) => to.since(from).map_or(0, |span| span.get_days()),
        (Err(_), _) | (_, Err(_)) => 0,
    };
    let arrives = words(line.arrives, &line.zone, "%H:%M");
    let (main, other) = match days {
        0 => (arrives.clone(), arrives),
        1 => (format!("次日{arrives}"), format!("{arrives} +1")),
        days => (format!("{days:+}日{arrives}"), format!("{arrives} {days:+}")),
    };
    Bilingual::new(
        format!("{} {main}到", words(line.departs, &line.zone, "%Y年%m月%d日 %H:%M开")),
        format!("{}, arrives {other}", words(line.departs, &line.zone, "%-d %b %Y, departs %H:%M")),
    )
}

/// Coach or deck and seat, in the words of the kind of service; what is empty is left out.
fn place(line: &BookingLine) -> Bilingual {
    let (part, seat) = (line.coach.trim(), line.seat.trim());
    let (part_zh, part_en) = match line.kind {
        _ if part.is_empty() => (String::new(), String::new()),
        ServiceKind::Train => (format!("{part}车"), format!("Coach {part}")),
        ServiceKind::Ship => (format!("{part}层甲板"), format!("Deck {part}")),
        ServiceKind::Coach | ServiceKind::Plane | ServiceKind::Other => {
            (format!("{part} "), part.to_owned())
        }
    };
    let (seat_zh, seat_en) = match (part.is_empty(), seat.is_empty()) {
        (_, true) => (String::new(), String::new()),
        (true, false) => (format!("{seat}号"), format!("Seat {seat}")),
        (false, false) => (format!("{seat}号"), format!(", seat {seat}")),
    };
    Bilingual::new(format!("{part_zh}{seat_zh}").trim_end(), format!("{part_en}{seat_en}"))
}

fn class(number: u8) -> Bilingual {
    match number {
        0 => Bilingual::new("商务座", "Business class"),
        1 => Bilingual::new("一等座", "First class"),
        2 => Bilingual::new("二等座", "Second class"),
        other => Bilingual::new(format!("{other}等座"), format!("Class {other}")),
    }
}

/// The document of a train ticket.
///
/// # Errors
/// `Code`.
pub fn ticket_doc(ticket: &Ticket, terminal: u32) -> Result<TicketDoc, PaperError> {
    let line = &ticket.line;
    let (n, of) = ticket.position;
    Ok(TicketDoc {
        number: ticket.number.clone(),
        gate: None,
        from: Bilingual::plain(&line.from),
        to: Bilingual::plain(&line.to),
        service: line.service.clone(),
        departure: times(line),
        place: place(line),
        price: money(&line.amount),
        class: class(line.class),
        passenger: format!("{}  {}", ticket.document_masked.expose(), ticket.name.expose()),
        notes: vec![
            // The same words on a train's ticket as on a ferry's.
            Bilingual::new("仅限当日本班次有效", "Valid for this service on this day only"),
            Bilingual::new(
                "请携带订票时使用的有效证件",
                "Please carry the document you booked with",
            ),
        ],
        serial: format!("{}  T{terminal:07}  {n}/{of}", ticket.reference),
        code: hex::decode(ticket.code.expose()).map_err(|_| PaperError::Code)?,
    })
}

/// The document of a receipt.
#[must_use]
pub fn receipt_doc(receipt: &Receipt) -> ReceiptDoc {
    let pair = |label: &str, value: &str| ReceiptLine::Pair(label.into(), value.into());
    let mut lines = vec![
        ReceiptLine::Title("收据 RECEIPT".into()),
        ReceiptLine::Centre(receipt.operator.clone()),
        ReceiptLine::Centre(receipt.place.clone()),
        ReceiptLine::Rule,
        pair("收据号 Receipt", &receipt.number),
        pair("终端 Terminal", &receipt.terminal),
        pair("时间 Time", &words(receipt.at, &receipt.zone, "%Y-%m-%d %H:%M:%S %Z")),
        pair("营业日 Business date", &receipt.business_date),
        pair("订单 Booking", &receipt.reference),
        pair("卡号 Card", &receipt.card_masked),
        pair("授权码 Approval", &receipt.auth_code),
        pair("参考号 RRN", &receipt.rrn),
        pair("流水号 Trace", &receipt.stan),
        ReceiptLine::Rule,
    ];
    lines.extend(receipt.lines.iter().map(|(text, amount)| pair(text, &money(amount))));
    lines.push(ReceiptLine::Rule);
    lines.push(ReceiptLine::Total("实收 Paid".into(), money(&receipt.charged)));
    if let Some(refunded) = &receipt.refunded {
        lines.push(ReceiptLine::Total("退回 Refund".into(), money(refunded)));
        lines.push(ReceiptLine::Small(
            "未出票金额将退回原卡 / For tickets not issued, to the same card".into(),
        ));
    }
    lines.push(ReceiptLine::Blank);
    lines.push(ReceiptLine::Small("请妥善保管 / Keep this receipt for your records".into()));
    ReceiptDoc { lines }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn amount(minor: i64, currency: &str, decimals: u8) -> Amount {
        Amount { minor, currency: currency.into(), decimals }
    }

    fn ticket(zone: &str) -> Ticket {
        Ticket {
            number: "0010000000000017".into(),
            reference: "ABCDE12345".into(),
            line: BookingLine {
                line: 0,
                service: "G101".into(),
                from: "北京南".into(),
                to: "上海虹桥".into(),
                departs: 1_795_564_800_000_000,
                arrives: 1_795_580_000_000_000,
                zone: zone.into(),
                kind: ServiceKind::Train,
                class: 2,
                coach: "05".into(),
                seat: "12A".into(),
                name_masked: "李*".into(),
                amount: amount(55_300, "CNY", 2),
            },
            name: "李娜".into(),
            document_masked: "E1*****78".into(),
            operator: "Guichet".into(),
            provider: "Rail".into(),
            code: "00ff".into(),
            position: (2, 3),
        }
    }

    #[test]
    fn money_has_the_decimals_of_its_currency() {
        let table = [
            (amount(5_500, "CNY", 2), "CNY 55.00"),
            (amount(5, "CNY", 2), "CNY 0.05"),
            (amount(-5_501, "EUR", 2), "EUR -55.01"),
            (amount(700, "JPY", 0), "JPY 700"),
            (amount(1_001, "KWD", 3), "KWD 1.001"),
            (amount(i64::MIN, "XXX", 255), "XXX -9223372036854.775808"),
        ];
        for (amount, right) in table {
            assert_eq!(money(&amount), right);
        }
    }

    #[test]
    fn a_ticket_tells_the_time_of_its_place() {
        let table = [
            (
                "Asia/Shanghai",
                "2026年11月25日 08:00开 12:13到",
                "25 Nov 2026, departs 08:00, arrives 12:13",
            ),
            (
                "Europe/Berlin",
                "2026年11月25日 01:00开 05:13到",
                "25 Nov 2026, departs 01:00, arrives 05:13",
            ),
            (
                "Nowhere/Else",
                "2026年11月25日 00:00开 04:13到",
                "25 Nov 2026, departs 00:00, arrives 04:13",
            ),
        ];
        for (zone, main, other) in table {
            let doc = ticket_doc(&ticket(zone), 3).unwrap();
            assert_eq!(doc.departure, Bilingual::new(main, other));
        }
        let doc = ticket_doc(&ticket("Asia/Shanghai"), 3).unwrap();
        assert_eq!((doc.price.as_str(), doc.code), ("CNY 553.00", vec![0, 255]));
        assert_eq!(doc.serial, "ABCDE12345  T0000003  2/3");
        let broken = Ticket { code: "xyz".into(), ..ticket("Asia/Shanghai") };
        assert_eq!(ticket_doc(&broken, 3), Err(PaperError::Code));
    }

    #[test]
    fn an_arrival_on_another_day_says_so() {
        // Half past nine in the evening in Shanghai.
        let departs = 1_795_564_800_000_000 + 48_600_000_000;
        for (hours, main, other) in [
            (2, "23:30到", "arrives 23:30"),
            (8, "次日05:30到", "arrives 05:30 +1"),
            (36, "+2日09:30到", "arrives 09:30 +2"),
        ] {
            let mut ticket = ticket("Asia/Shanghai");
            (ticket.line.departs, ticket.line.arrives) = (departs, departs + hours * 3_600_000_000);
            let doc = ticket_doc(&ticket, 3).unwrap();
            assert!(doc.departure.main.ends_with(main), "{}", doc.departure.main);
            assert!(doc.departure.other.as_ref().unwrap().ends_with(other), "{:?}", doc.departure);
        }
    }

    #[test]
    fn a_place_is_told_in_the_words_of_its_service_and_without_empty_parts() {
        for (kind, coach, seat, main, other) in [
            (ServiceKind::Train, "05", "12A", "05车12A号", "Coach 05, seat 12A"),
            (ServiceKind::Train, "", "12A", "12A号", "Seat 12A"),
            (ServiceKind::Coach, "", "01A", "01A号", "Seat 01A"),
            (ServiceKind::Coach, " ", "01A", "01A号", "Seat 01A"),
            (ServiceKind::Ship, "5", "07B", "5层甲板07B号", "Deck 5, seat 07B"),
            (ServiceKind::Ship, "5", "", "5层甲板", "Deck 5"),
            (ServiceKind::Other, "Balcony", "3", "Balcony 3号", "Balcony, seat 3"),
            (ServiceKind::Other, "", "", "", ""),
        ] {
            let mut ticket = ticket("Asia/Shanghai");
            ticket.line.kind = kind;
            (ticket.line.coach, ticket.line.seat) = (coach.into(), seat.into());
            let doc = ticket_doc(&ticket, 3).unwrap();
            assert_eq!(doc.place, Bilingual::new(main, other));
            let words: String = doc
                .notes
                .iter()
                .flat_map(|note| [Some(note.main.clone()), note.other.clone()])
                .flatten()
                .collect();
            assert!(!words.contains("train") && !words.contains('车'), "{words}");
        }
    }

    #[test]
    fn a_receipt_names_what_goes_back() {
        let mut receipt = Receipt {
            number: "R1".into(),
            operator: "Guichet".into(),
            terminal: "T0000003".into(),
            place: "北京南".into(),
            at: 1_795_564_800_000_000,
            zone: "Asia/Shanghai".into(),
            reference: "ABCDE12345".into(),
            lines: vec![("G101 北京南 - 上海虹桥".into(), amount(5_500, "CNY", 2))],
            charged: amount(5_500, "CNY", 2),
            refunded: None,
            card_masked: "621094******0011".into(),
            auth_code: "A1B2C3".into(),
            rrn: "612345678901".into(),
            stan: "000001".into(),
            business_date: "2026-11-25".into(),
        };
        let total = |doc: &ReceiptDoc| {
            doc.lines.iter().filter(|l| matches!(l, ReceiptLine::Total(..))).count()
        };
        assert_eq!(total(&receipt_doc(&receipt)), 1);
        receipt.refunded = Some(amount(1_100, "CNY", 2));
        let doc = receipt_doc(&receipt);
        assert_eq!(total(&doc), 2);
        assert!(doc.lines.contains(&ReceiptLine::Pair("订单 Booking".into(), "ABCDE12345".into())));
        assert!(doc.encode(&[0; 16]).is_ok());
    }
}
