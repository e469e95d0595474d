//! The texts that live in the pad, two lines each.

/// Number of texts.
pub const TEXTS: u8 = 10;

/// The two lines of a text.
pub fn lines(text: u8, language: &str) -> [&'static str; 2] {
    match (text, language == "zh") {
        (0, true) => ["欢迎光临", "请看屏幕"],
        (0, false) => ["Welcome", "Please see the screen"],
        (1, true) => ["请刷卡", ""],
        (1, false) => ["Please swipe", "your card"],
        (2, true) => ["请看屏幕", ""],
        (2, false) => ["Please look", "at the screen"],
        (3, true) => ["请稍候", ""],
        (3, false) => ["Please wait", ""],
        (4, true) => ["请收好您的卡", ""],
        (4, false) => ["Please keep", "your card"],
        (5, true) => ["请取票", ""],
        (5, false) => ["Please take", "your ticket"],
        (6, true) => ["已取消", ""],
        (6, false) => ["Cancelled", ""],
        (7, true) => ["密码错误", ""],
        (7, false) => ["Wrong PIN", ""],
        (8, true) => ["谢谢", "祝您旅途愉快"],
        (8, false) => ["Thank you", "Have a good journey"],
        (_, true) => ["暂停服务", ""],
        (_, false) => ["Out of service", ""],
    }
}

/// The first line while a PIN is entered.
pub fn prompt(language: &str) -> &'static str {
    if language == "zh" { "请输入密码" } else { "Enter your PIN" }
}
