//! What the center says, as documents for the printers. Pure.

use guichet_devices::{Bilingual, ReceiptDoc, ReceiptLine, TicketDoc};
use guichet_link::message::{Amount, Receipt, Ticket};
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

/// The time of arrival, with the days since departure where it is not the same day.
fn arrival(departs: i64, arrives: i64, zone: &str) -> String {
    let date = |us| words(us, zone, "%Y-%m-%d").parse::<jiff::civil::Date>();
    let days = match (date(departs), date(arrives)) {
        (Ok(from), Ok(to)) => to.since(from).map_or(0, |span| span.get_days()),
        (Err(_), _) | (_, Err(_)) => 0,
    };
    let time = words(arrives, zone, "%H:%M");
    if days == 0 { time } else { format!("{time} {days:+}d") }
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
        departure: Bilingual::new(
            words(line.departs, &line.zone, "%Y年%m月%d日 %H:%M开"),
            format!(
                "{}, arrives {}",
                words(line.departs, &line.zone, "%-d %b %Y, departs %H:%M"),
                arrival(line.departs, line.arrives, &line.zone)
            ),
        ),
        place: Bilingual::new(
            format!("{}车{}号", line.coach, line.seat),
            format!("Coach {}, seat {}", line.coach, line.seat),
        ),
        price: money(&line.amount),
        class: class(line.class),
        passenger: format!("{}  {}", ticket.document_masked.expose(), ticket.name.expose()),
        notes: vec![
            Bilingual::new("限乘当日当次车", "Valid for this train on this day only"),
            Bilingual::new("请凭有效证件乘车", "Please carry the document you booked with"),
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
    lines.push(ReceiptLine::Total("实收 Charged".into(), money(&receipt.charged)));
    if let Some(refunded) = &receipt.refunded {
        lines.push(ReceiptLine::Total("退回 Goes back".into(), money(refunded)));
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
    use guichet_link::message::BookingLine;

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
                "2026年11月25日 08:00开",
                "25 Nov 2026, departs 08:00, arrives 12:13",
            ),
            (
                "Europe/Berlin",
                "2026年11月25日 01:00开",
                "25 Nov 2026, departs 01:00, arrives 05:13",
            ),
            ("Nowhere/Else", "2026年11月25日 00:00开", "25 Nov 2026, departs 00:00, arrives 04:13"),
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
