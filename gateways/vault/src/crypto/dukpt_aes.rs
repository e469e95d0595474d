//! AES DUKPT (ANSI X9.24-3:2017), host side: a transaction's key from the base key and the serial number.

use zeroize::Zeroizing;

use super::block::Aes;
use super::{CryptoError, Key};

/// Bytes of an AES DUKPT key serial number.
pub const KSN_BYTES: usize = 12;
/// One-bits that a transaction counter may have at most.
pub const COUNTER_ONES_MAX: u32 = 16;
/// The largest counter that a transaction may use.
pub const COUNTER_MAX: u32 = 0xFFFF_0000;

/// Why a key serial number was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum KsnFault {
    /// Not the length of this kind of DUKPT.
    #[error("wrong length")]
    Length,
    /// A counter of zero, with too many one-bits, or beyond the last.
    #[error("counter that no device uses")]
    Counter,
    /// The counter is not above the last one seen from this device.
    #[error("counter was used before")]
    Replayed,
    /// No device with this initial key id is known.
    #[error("unknown device")]
    Unknown,
}

/// A checked key serial number: initial key id and transaction counter.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Ksn {
    /// BDK id (4 bytes) and derivation id (4 bytes).
    pub initial_key_id: [u8; 8],
    /// The transaction counter, never zero.
    pub counter: u32,
}

impl Ksn {
    /// Reads the 12 bytes a device sends.
    ///
    /// # Errors
    /// `Length`, or `Counter` for one that no device uses.
    pub fn parse(bytes: &[u8]) -> Result<Self, KsnFault> {
        let bytes: &[u8; KSN_BYTES] = bytes.try_into().map_err(|_| KsnFault::Length)?;
        let [a, b, c, d, e, f, g, h, i, j, k, l] = *bytes;
        let counter = u32::from_be_bytes([i, j, k, l]);
        if counter == 0 || counter > COUNTER_MAX || counter.count_ones() > COUNTER_ONES_MAX {
            return Err(KsnFault::Counter);
        }
        Ok(Self { initial_key_id: [a, b, c, d, e, f, g, h], counter })
    }
}

/// What a derived key is for (X9.24-3 table 2).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Usage {
    /// PIN encryption.
    Pin,
    /// Message authentication, generation.
    MacGenerate,
    /// Data encryption, encrypting.
    DataEncrypt,
    /// Deriving transaction keys.
    Derive,
    /// The initial key of a device.
    Initial,
    /// Encrypting keys: the update key.
    KeyEncrypt,
}

impl Usage {
    const fn code(self) -> [u8; 2] {
        match self {
            Self::Pin => [0x10, 0x00],
            Self::MacGenerate => [0x20, 0x00],
            Self::DataEncrypt => [0x30, 0x00],
            Self::Derive => [0x80, 0x00],
            Self::Initial => [0x80, 0x01],
            Self::KeyEncrypt => [0x00, 0x02],
        }
    }
}

/// The algorithm that a derived key is for (X9.24-3 table 3).
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Algorithm {
    /// Double-length TDES.
    Tdes2,
    /// AES-128.
    Aes128,
    /// AES-256.
    Aes256,
}

impl Algorithm {
    const fn code(self) -> [u8; 2] {
        match self {
            Self::Tdes2 => [0, 0],
            Self::Aes128 => [0, 2],
            Self::Aes256 => [0, 4],
        }
    }
    const fn bits(self) -> u16 {
        match self {
            Self::Tdes2 | Self::Aes128 => 128,
            Self::Aes256 => 256,
        }
    }
    /// The algorithm of a derivation key, from its length.
    fn of_key(key: &Key) -> Result<Self, CryptoError> {
        match key.bytes().len() {
            16 => Ok(Self::Aes128),
            32 => Ok(Self::Aes256),
            got => Err(CryptoError::KeyLength { got }),
        }
    }
}

/// The initial key of a device, from the base derivation key.
///
/// # Errors
/// `KeyLength` unless the base key is AES-128 or AES-256.
pub fn initial_key(base: &Key, initial_key_id: [u8; 8]) -> Result<Key, CryptoError> {
    derive(base, Usage::Initial, Algorithm::of_key(base)?, initial_key_id)
}

/// A working key of one transaction, from a device's initial key.
///
/// # Errors
/// `KeyLength` unless the initial key is AES-128 or AES-256.
pub fn working_key(
    initial: &Key,
    ksn: Ksn,
    usage: Usage,
    algorithm: Algorithm,
) -> Result<Key, CryptoError> {
    let transaction = transaction_key(initial, ksn)?;
    derive(&transaction, usage, algorithm, context(ksn.initial_key_id, ksn.counter))
}

/// The key from which a transaction's working keys come: one step for each one-bit of the counter.
fn transaction_key(initial: &Key, ksn: Ksn) -> Result<Key, CryptoError> {
    let algorithm = Algorithm::of_key(initial)?;
    let mut key = initial.clone();
    let mut reached = 0u32;
    for bit in (0..32).rev().map(|n| 1u32 << n).filter(|bit| ksn.counter & bit != 0) {
        reached |= bit;
        key = derive(&key, Usage::Derive, algorithm, context(ksn.initial_key_id, reached))?;
    }
    Ok(key)
}

fn context(initial_key_id: [u8; 8], counter: u32) -> [u8; 8] {
    let [_, _, _, _, a, b, c, d] = initial_key_id;
    let [e, f, g, h] = counter.to_be_bytes();
    [a, b, c, d, e, f, g, h]
}

/// The derivation of X9.24-3 clause 6.2: as many ECB blocks of counted derivation data as the key needs.
fn derive(
    key: &Key,
    usage: Usage,
    algorithm: Algorithm,
    context: [u8; 8],
) -> Result<Key, CryptoError> {
    let aes = Aes::new(key)?;
    let bits = algorithm.bits();
    let mut out = Zeroizing::new(Vec::with_capacity(32));
    for block in 1..=bits.div_ceil(128) {
        let mut data = [0; 16];
        data[0] = 1;
        data[1] = u8::try_from(block).unwrap_or(1);
        data[2..4].copy_from_slice(&usage.code());
        data[4..6].copy_from_slice(&algorithm.code());
        data[6..8].copy_from_slice(&bits.to_be_bytes());
        data[8..].copy_from_slice(&context);
        out.extend_from_slice(&Zeroizing::new(aes.encrypt(data))[..]);
    }
    Key::new(&out)
}

#[cfg(test)]
mod tests {
    use super::super::pin::{self, Pin, PinFormat};
    use super::*;

    const ID: [u8; 8] = [0x12, 0x34, 0x56, 0x78, 0x90, 0x12, 0x34, 0x56];
    const BDK_128: &str = "FEDCBA9876543210F1F1F1F1F1F1F1F1";
    const BDK_256: &str = "FEDCBA9876543210F1F1F1F1F1F1F1F1FEDCBA9876543210F1F1F1F1F1F1F1F1";

    fn key(text: &str) -> Key {
        Key::from_hex(text).unwrap()
    }

    fn shown(key: &Key) -> String {
        hex::encode_upper(key.bytes())
    }

    /// Transaction, PIN, MAC and data key, then the block that the PIN pad would send.
    fn check(initial: &Key, algorithm: Algorithm, counter: u32, expected: [&str; 5]) {
        let ksn = Ksn { initial_key_id: ID, counter };
        let working = |usage| working_key(initial, ksn, usage, algorithm).unwrap();
        assert_eq!(shown(&transaction_key(initial, ksn).unwrap()), expected[0]);
        assert_eq!(shown(&working(Usage::Pin)), expected[1]);
        assert_eq!(shown(&working(Usage::MacGenerate)), expected[2]);
        assert_eq!(shown(&working(Usage::DataEncrypt)), expected[3]);
        let random = hex::decode("2F69ADDE2E9E7ACE0000").unwrap().try_into().unwrap();
        let pin = Pin::from_ascii(b"1234").unwrap();
        let pan = "4111111111111111";
        let block = pin::make(&working(Usage::Pin), PinFormat::Iso4, pan, &pin, random).unwrap();
        assert_eq!(hex::encode_upper(&block), expected[4]);
        assert!(pin::open(&working(Usage::Pin), PinFormat::Iso4, pan, &block).is_ok());
    }

    #[test]
    fn aes_128_supplement_values() {
        let initial = initial_key(&key(BDK_128), ID).unwrap();
        assert_eq!(shown(&initial), "1273671EA26AC29AFA4D1084127652A1");
        let rows = [
            [
                "4F21B565BAD9835E112B6465635EAE44",
                "AF8CB133A78F8DC2D1359F18527593FB",
                "A2DC23DE6FDE0824A2BC321E08E4B8B7",
                "A35C412EFD41FDB98B69797C02DCD08F",
                "A912150391AB65A67E52883D81CE2D15",
            ],
            [
                "2F34D68DE10F68D38091A73B9E7C437C",
                "D30BDC73EC9714B000BEC66BDB7B6D09",
                "484C3B06E8562704528CD5B46FB12FB6",
                "D639514AA33AC43AD9229E433D6D4E5B",
                "52A00503BD34BA1383F6A7EE9FE2547F",
            ],
            [
                "031504E530365CF81264238540518318",
                "7D69F01F3B45449F62C7816ECE723268",
                "A5DF7D9D800CA769766F0C77CA4E6E6C",
                "EF17F6AB45B4820C93A3DCB21BC491AD",
                "A5A27E82B43A9A866A93D7ABE89CEF93",
            ],
            [
                "0EEFC7ADA628BA68878DA9165A8A1887",
                "91A0588318EC2673214271F70137896E",
                "E6E4679647D8A9057C1FC15537CB4C4E",
                "B3BD44C08BB6BA27C3BB4711D7D70387",
                "71B3D0528669498777555A8BE6698E44",
            ],
        ];
        for (counter, row) in (1..).zip(rows) {
            check(&initial, Algorithm::Aes128, counter, row);
        }
        let first = Ksn { initial_key_id: ID, counter: 1 };
        let tdes = working_key(&initial, first, Usage::Pin, Algorithm::Tdes2).unwrap();
        assert_eq!(shown(&tdes), "630C706D9546E47D4449313F61C4D4AB");
        let last = Ksn { initial_key_id: ID, counter: u32::MAX };
        let update = working_key(&initial, last, Usage::KeyEncrypt, Algorithm::Aes128);
        assert_eq!(shown(&update.unwrap()), "9A9770AEE1ACD1B13473D0463A1883B9");
    }

    #[test]
    fn aes_256_supplement_values() {
        let initial = initial_key(&key(BDK_256), ID).unwrap();
        assert_eq!(
            shown(&initial),
            "CE9CE0C101D1138F97FB6CAD4DF045A7083D4EAE2D35A31789D01CCF0949550F"
        );
        let rows = [
            [
                "54AC2B32B145EA4A554CB8BC44B17467063A799856B1CCC2A138D36E8DBF78B3",
                "8C1AB7BEE973829E30242E0BBBDD4946D540C98FC1B5BDCF94790001A23FD502",
                "61DABDF4B340CF461EE860B1D1AB55357142BD2D6977306859CF49AEFE8F1549",
                "71EB36C9A6B7F801D1D1700C29741FC5A5C4E9B45D742DA7AF6992B8AA29AF58",
                "B9346D129E53FFC0759FC82331CBE9F7",
            ],
            [
                "5DD5A0253842BBBE1D7C0DA27021412C6F1FAB53FB928DEAE56DA06090A9DE97",
                "3583D6CD02FC38822CC71A8D7678E04F4A8556335E6CC66863D3DADC5AEE2C62",
                "4417356219B2F93CE3F2671623DDCAB58A8B85AD80662A8D628024000956D426",
                "D0AC9F71F875FFFF3A83778F72F39EBB0924A5A526617AF669665E0A19725465",
                "D37D4290E67692EEE0430168C350EFC7",
            ],
        ];
        for (counter, row) in (1..).zip(rows) {
            check(&initial, Algorithm::Aes256, counter, row);
        }
    }

    #[test]
    fn serial_numbers_at_their_edges() {
        let ksn = |counter: u32| {
            let mut bytes = ID.to_vec();
            bytes.extend_from_slice(&counter.to_be_bytes());
            Ksn::parse(&bytes)
        };
        assert_eq!(ksn(1), Ok(Ksn { initial_key_id: ID, counter: 1 }));
        assert_eq!(ksn(0), Err(KsnFault::Counter));
        assert_eq!(ksn(0x0000_FFFF).map(|k| k.counter), Ok(0x0000_FFFF));
        assert_eq!(ksn(0x0001_FFFF), Err(KsnFault::Counter));
        assert_eq!(ksn(COUNTER_MAX).map(|k| k.counter), Ok(COUNTER_MAX));
        assert_eq!(ksn(COUNTER_MAX + 1), Err(KsnFault::Counter));
        assert_eq!(ksn(u32::MAX), Err(KsnFault::Counter));
        for len in (0..30).filter(|len| *len != KSN_BYTES) {
            assert_eq!(Ksn::parse(&vec![1; len]), Err(KsnFault::Length), "{len}");
        }
    }
}
