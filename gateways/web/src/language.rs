//! Which language a person reads: the cookie they chose, else what the browser asks for.

use actix_web::HttpRequest;

/// The cookie that keeps the choice.
pub const COOKIE: &str = "language";

/// A language of the site.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Language {
    /// English.
    English,
    /// Chinese (simplified).
    Chinese,
}

impl Language {
    /// BCP 47.
    #[must_use]
    pub const fn code(self) -> &'static str {
        match self {
            Self::English => "en",
            Self::Chinese => "zh",
        }
    }
    /// By its code, or by a tag that begins with it.
    #[must_use]
    pub fn parse(tag: &str) -> Option<Self> {
        match tag.trim().to_ascii_lowercase().split(['-', '_']).next() {
            Some("zh") => Some(Self::Chinese),
            Some("en") => Some(Self::English),
            _ => None,
        }
    }
}

/// The language of a request.
#[must_use]
pub fn of(request: &HttpRequest) -> Language {
    if let Some(chosen) = request.cookie(COOKIE).and_then(|c| Language::parse(c.value())) {
        return chosen;
    }
    let wanted =
        request.headers().get("Accept-Language").and_then(|v| v.to_str().ok()).unwrap_or_default();
    preferred(wanted)
}

fn preferred(header: &str) -> Language {
    let mut best = (Language::English, -1i32);
    for part in header.split(',').take(20) {
        let mut pieces = part.split(';');
        let Some(language) = pieces.next().and_then(Language::parse) else { continue };
        let weight = pieces
            .find_map(|p| p.trim().strip_prefix("q="))
            .and_then(|q| q.parse::<f32>().ok())
            .map_or(1000, |q| (q.clamp(0.0, 1.0) * 1000.0) as i32);
        if weight > best.1 {
            best = (language, weight);
        }
    }
    best.0
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_heaviest_language_we_have_wins() {
        for (header, language) in [
            ("", Language::English),
            ("zh-CN,zh;q=0.9,en;q=0.8", Language::Chinese),
            ("fr, en;q=0.3, zh;q=0.7", Language::Chinese),
            ("de", Language::English),
            ("en;q=nan, zh", Language::Chinese),
        ] {
            assert_eq!(preferred(header), language, "{header}");
        }
    }
}
