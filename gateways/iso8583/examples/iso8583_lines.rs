//! Decodes lines of hexadecimal into lines of JSON, and back: what a judge compares with.
//!
//! `iso8583_lines decode|encode --dialect NAME_OR_PATH FILE`, where FILE may be `-`.
//! A message is `{"mti":"0200","fields":{"3":"000000"}}`; binary elements are hexadecimal.

use std::collections::BTreeMap;
use std::io::Read;
use std::process::ExitCode;

use guichet_iso8583::{Dialect, Kind, Message, Mti};

#[derive(serde::Serialize, serde::Deserialize)]
struct Line {
    mti: String,
    fields: BTreeMap<String, String>,
}

fn main() -> ExitCode {
    match run() {
        Ok(()) => ExitCode::SUCCESS,
        Err(reason) => {
            eprintln!("{reason}");
            ExitCode::FAILURE
        }
    }
}

fn run() -> Result<(), String> {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let [verb, flag, dialect, file] = words.as_slice() else {
        return Err("usage: iso8583_lines decode|encode --dialect NAME_OR_PATH FILE".to_string());
    };
    if flag != "--dialect" {
        return Err(format!("expected --dialect, found {flag}"));
    }
    let dialect = Dialect::named(dialect).map_err(|error| error.to_string())?;
    let mut text = String::new();
    if file == "-" {
        std::io::stdin().read_to_string(&mut text).map_err(|error| error.to_string())?;
    } else {
        text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    }
    for line in text.lines().filter(|line| !line.trim().is_empty()) {
        let out = match verb.as_str() {
            "decode" => decode(&dialect, line.trim())?,
            "encode" => encode(&dialect, line)?,
            other => return Err(format!("unknown verb {other}")),
        };
        println!("{out}");
    }
    Ok(())
}

fn is_binary(dialect: &Dialect, de: u8) -> bool {
    dialect.field(de).is_some_and(|field| field.kind == Kind::B)
}

fn decode(dialect: &Dialect, line: &str) -> Result<String, String> {
    let body = hex::decode(line).map_err(|error| error.to_string())?;
    let message = dialect.unpack(&body).map_err(|error| format!("{line}: {error}"))?;
    let fields = message
        .elements()
        .map(|de| {
            let bytes = message.bytes(de).unwrap_or_default();
            let text = if is_binary(dialect, de) {
                hex::encode_upper(bytes)
            } else {
                bytes.iter().map(|byte| char::from(*byte)).collect()
            };
            (de.to_string(), text)
        })
        .collect();
    let line = Line { mti: message.mti.to_string(), fields };
    serde_json::to_string(&line).map_err(|error| error.to_string())
}

fn encode(dialect: &Dialect, line: &str) -> Result<String, String> {
    let line: Line = serde_json::from_str(line).map_err(|error| error.to_string())?;
    let mti = Mti::parse(&line.mti).ok_or_else(|| format!("{} is no type", line.mti))?;
    let mut message = Message::new(mti);
    for (de, value) in &line.fields {
        let de: u8 = de.parse().map_err(|_| format!("{de} is no element"))?;
        if is_binary(dialect, de) {
            message.set_bytes(de, &hex::decode(value).map_err(|error| error.to_string())?);
        } else {
            let bytes: Option<Vec<u8>> = value.chars().map(|c| u8::try_from(c).ok()).collect();
            message.set_bytes(de, &bytes.ok_or_else(|| format!("DE {de} is not one byte each"))?);
        }
    }
    let body = dialect.pack(&message).map_err(|error| error.to_string())?;
    Ok(hex::encode_upper(&body[..]))
}
