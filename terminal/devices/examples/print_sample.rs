//! Prints a sample ticket and a sample receipt: `print_sample TICKET_LINE RECEIPT_LINE`.
//!
//! Works with the twins and with real printers alike.

use guichet_devices::{
    Bilingual, JobId, LineConfig, ReceiptDoc, ReceiptLine, ReceiptPrinter, SerialReceiptPrinter,
    SerialTicketPrinter, TicketDoc, TicketPrinter,
};

#[tokio::main]
async fn main() {
    let lines: Vec<String> = std::env::args().skip(1).collect();
    let [ticket_line, receipt_line] = lines.as_slice() else {
        eprintln!("usage: print_sample TICKET_LINE RECEIPT_LINE");
        std::process::exit(2);
    };
    // A number that no print of this machine had before.
    let stamp = std::time::UNIX_EPOCH.elapsed().map(|age| age.as_nanos()).unwrap_or_default();
    let mut tickets = SerialTicketPrinter::new(LineConfig::new(ticket_line, 115_200));
    println!("ticket printer: {:?}", tickets.status().await);
    println!("ticket: {:?}", tickets.print(JobId(stamp.to_be_bytes()), &ticket()).await);
    let mut receipts = SerialReceiptPrinter::new(LineConfig::new(receipt_line, 115_200));
    println!("receipt printer: {:?}", receipts.status().await);
    println!("receipt: {:?}", receipts.print(JobId(stamp.to_be_bytes()), &receipt()).await);
}

fn ticket() -> TicketDoc {
    TicketDoc {
        number: "Z000000017".into(),
        gate: Some(Bilingual::new("检票 12B", "Gate 12B")),
        from: Bilingual::new("北京南", "Beijing South"),
        to: Bilingual::new("上海虹桥", "Shanghai Hongqiao"),
        service: "G101".into(),
        departure: Bilingual::new("2026年11月24日 08:00开", "24 Nov 2026, departs 08:00"),
        place: Bilingual::new("08车12A号", "Coach 08, seat 12A"),
        price: "¥553.00".into(),
        class: Bilingual::new("二等座", "Second class"),
        passenger: "1101**********1234  王*明".into(),
        notes: vec![
            Bilingual::new("限乘当日当次车", "Valid for this train on this day only"),
            Bilingual::new("请凭有效证件乘车", "Please carry the document you booked with"),
        ],
        serial: "10010300170824  BJP".into(),
        code: (0..190u32).map(|n| (n * 73 % 256) as u8).collect(),
    }
}

fn receipt() -> ReceiptDoc {
    let pair = |label: &str, value: &str| ReceiptLine::Pair(label.into(), value.into());
    ReceiptDoc {
        lines: vec![
            ReceiptLine::Title("收据 RECEIPT".into()),
            ReceiptLine::Centre("自动售票 Guichet".into()),
            ReceiptLine::Blank,
            pair("终端 Terminal", "BJP-0007"),
            pair("时间 Time", "2026-11-24 07:31:05"),
            pair("卡号 Card", "621094******0011"),
            pair("参考号 Reference", "612345678901"),
            pair("授权码 Approval", "A1B2C3"),
            ReceiptLine::Rule,
            ReceiptLine::Text("G101  2026-11-24 08:00".into()),
            pair("北京南 - 上海虹桥  二等座", "553.00"),
            ReceiptLine::Rule,
            ReceiptLine::Total("合计 Total CNY".into(), "553.00".into()),
            ReceiptLine::Blank,
            ReceiptLine::Small("请妥善保管本收据".into()),
            ReceiptLine::Small("Please keep this receipt for your records".into()),
        ],
    }
}
