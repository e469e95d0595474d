//! Texts of messages that are nobody's business but the receiver's.

use std::fmt;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use zeroize::Zeroizing;

/// A text that travels in encrypted frames and is not to be seen elsewhere: a sealed swipe, an encrypted PIN, a name.
///
/// `Debug` prints a fixed mask, there is no `Display`, and it is wiped on drop.
#[derive(Clone, Default, PartialEq, Eq)]
pub struct Hidden(Zeroizing<String>);

impl Hidden {
    /// The text, for the few places that need it.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<String> for Hidden {
    fn from(text: String) -> Self {
        Self(Zeroizing::new(text))
    }
}

impl From<&str> for Hidden {
    fn from(text: &str) -> Self {
        text.to_owned().into()
    }
}

impl fmt::Debug for Hidden {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

impl Serialize for Hidden {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.expose())
    }
}

impl<'de> Deserialize<'de> for Hidden {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        String::deserialize(deserializer).map(Self::from)
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use crate::envelope::{Envelope, Item};
    use crate::message::{CenterToTerminal, TerminalToCenter};
    use crate::store::Stored;

    const SECRETS: [&str; 4] = ["c0ffee", "b10c0b10c0", "欧阳修文", "E1*****78"];

    fn ticket() -> serde_json::Value {
        let amount = json!({ "minor": 1, "currency": "CNY", "decimals": 2 });
        let line = json!({
            "line": 0, "service": "G101", "from": "a", "to": "b", "departs": 1, "arrives": 2, "zone": "UTC", "kind": "train",
            "class": 2, "coach": "1", "seat": "2A", "name_masked": "欧**文", "amount": amount,
        });
        json!({
            "number": "1", "reference": "ABCDE12345", "line": line, "name": SECRETS[2],
            "document_masked": SECRETS[3], "operator": "o", "provider": "p", "code": SECRETS[0], "position": [1, 1],
        })
    }

    #[test]
    fn no_message_prints_what_is_hidden_and_each_carries_it() {
        let requests = [
            json!({ "kind": "find_bookings", "session": 5, "swipe": SECRETS[0] }),
            json!({ "kind": "start_payment", "session": 5, "order": "o-1", "swipe": SECRETS[0] }),
            json!({
                "kind": "enter_pin", "session": 5, "order": "o-1", "payment": 0, "pin_try": 1,
                "ksn": SECRETS[0], "block": SECRETS[1],
            }),
        ];
        let issue = json!({
            "kind": "issue", "session": 5, "order": "o-1", "print": 1, "deadline": 9, "ticket": ticket(),
        });
        let mut shown = Vec::new();
        for request in &requests {
            let message: TerminalToCenter = serde_json::from_value(request.clone()).unwrap();
            assert_eq!(serde_json::to_value(&message).unwrap(), *request);
            shown.push(format!("{message:?} {message:#?}"));
        }
        let message: CenterToTerminal = serde_json::from_value(issue.clone()).unwrap();
        assert_eq!(serde_json::to_value(&message).unwrap(), issue);
        shown.push(format!("{message:?}"));
        for body in requests.into_iter().chain([issue]) {
            let stored = Stored { seq: 1, not_after: None, body: body.to_string() };
            let passing = Item::Passing { not_after: None, body: body.clone() };
            let message = Item::Message { seq: 1, not_after: None, body };
            for item in [passing, message] {
                shown.push(format!("{stored:?} {:?}", Envelope { v: 1, ack: 0, item }));
            }
        }
        for text in shown {
            assert!(text.contains("***") && SECRETS.iter().all(|s| !text.contains(s)), "{text}");
        }
    }
}
