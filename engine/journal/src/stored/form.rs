//! How a stored shape stands for an engine type.
//!
//! A stored shape is declared once with [`form!`], names its own field types, and is frozen when
//! it is released. The macro takes the engine type apart without a wildcard, so that a variant or
//! field added to the engine does not build until its stored form is decided here. Variants are
//! known by a code, never by their place.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use guichet_engine::ids::{
    AcquirerId, Attempt, AuthCode, CardId, CardTag, CommandId, GroupId, LineNo, OperatorId,
    OrderId, PartitionId, PassengerNo, PaymentNo, PersonId, ProviderId, Reference, RefundNo,
    ResponseCode, Rrn, ServiceId, SessionId, Slot, Stan, TerminalId, TicketNumber, UnitNo, Version,
};
use guichet_engine::limits::SLOTS;
use guichet_engine::money::Currency;
use guichet_engine::reject::Reject;
use guichet_engine::time::{BusinessDate, Instant};

use super::StoredError;

/// A stored shape of the engine type `E`.
pub(crate) trait Form<E>: Sized {
    /// The shape of a value.
    fn store(value: &E) -> Self;
    /// The value of a shape; refuses what the engine type cannot hold.
    fn restore(self) -> Result<E, StoredError>;
}

macro_rules! plain {
    ($($ty:ty),*) => {$(
        impl Form<$ty> for $ty {
            fn store(value: &$ty) -> Self {
                value.clone()
            }
            fn restore(self) -> Result<$ty, StoredError> {
                Ok(self)
            }
        }
    )*};
}
plain!(bool, u8, u16, u32, u64, i64, i128, String, [u8; 16], [u8; 32]);

macro_rules! newtype {
    ($($name:ident($inner:ty)),* $(,)?) => {$(
        impl Form<$name> for $inner {
            fn store(value: &$name) -> Self {
                value.0
            }
            fn restore(self) -> Result<$name, StoredError> {
                Ok($name(self))
            }
        }
    )*};
}
newtype!(
    PartitionId(u16),
    OperatorId(u16),
    ProviderId(u16),
    AcquirerId(u16),
    LineNo(u8),
    PassengerNo(u8),
    PaymentNo(u8),
    RefundNo(u8),
    Attempt(u16),
    UnitNo(u16),
    SessionId(u64),
    TicketNumber(u64),
    Stan(u32),
    Version(u32),
    TerminalId(u32),
    GroupId(u32),
    CommandId(u128),
    PersonId(u128),
    CardId(u128),
    CardTag([u8; 16]),
    Rrn([u8; 12]),
    AuthCode([u8; 6]),
    ResponseCode([u8; 2]),
    Reference([u8; 10]),
    Instant(i64),
    BusinessDate(u32),
);

impl Form<Slot> for u16 {
    fn store(value: &Slot) -> Self {
        value.get()
    }
    fn restore(self) -> Result<Slot, StoredError> {
        if self < SLOTS { Ok(Slot::new(self)) } else { Err(StoredError::Value("slot")) }
    }
}

impl Form<Currency> for u16 {
    fn store(value: &Currency) -> Self {
        value.numeric()
    }
    fn restore(self) -> Result<Currency, StoredError> {
        Currency::from_numeric(self).ok_or(StoredError::Value("currency"))
    }
}

impl Form<Reject> for u16 {
    fn store(value: &Reject) -> Self {
        value.code()
    }
    fn restore(self) -> Result<Reject, StoredError> {
        Reject::from_code(self).ok_or(StoredError::Value("reject"))
    }
}

impl Form<OrderId> for (u16, u64) {
    fn store(value: &OrderId) -> Self {
        (value.slot.get(), value.unique)
    }
    fn restore(self) -> Result<OrderId, StoredError> {
        Ok(OrderId::new(self.0.restore()?, self.1))
    }
}

impl Form<ServiceId> for (u16, u64) {
    fn store(value: &ServiceId) -> Self {
        (value.slot.get(), value.unique)
    }
    fn restore(self) -> Result<ServiceId, StoredError> {
        Ok(ServiceId::new(self.0.restore()?, self.1))
    }
}

impl<E, T: Form<E>> Form<Vec<E>> for Vec<T> {
    fn store(value: &Vec<E>) -> Self {
        value.iter().map(T::store).collect()
    }
    fn restore(self) -> Result<Vec<E>, StoredError> {
        self.into_iter().map(T::restore).collect()
    }
}

impl<E, T: Form<E>> Form<VecDeque<E>> for Vec<T> {
    fn store(value: &VecDeque<E>) -> Self {
        value.iter().map(T::store).collect()
    }
    fn restore(self) -> Result<VecDeque<E>, StoredError> {
        self.into_iter().map(T::restore).collect()
    }
}

impl<E: Ord, T: Form<E>> Form<BTreeSet<E>> for Vec<T> {
    fn store(value: &BTreeSet<E>) -> Self {
        value.iter().map(T::store).collect()
    }
    fn restore(self) -> Result<BTreeSet<E>, StoredError> {
        self.into_iter().map(T::restore).collect()
    }
}

impl<K: Ord, V, FK: Form<K>, FV: Form<V>> Form<BTreeMap<K, V>> for Vec<(FK, FV)> {
    fn store(value: &BTreeMap<K, V>) -> Self {
        value.iter().map(|(key, value)| (FK::store(key), FV::store(value))).collect()
    }
    fn restore(self) -> Result<BTreeMap<K, V>, StoredError> {
        self.into_iter().map(|(key, value)| Ok((key.restore()?, value.restore()?))).collect()
    }
}

impl<A, B, FA: Form<A>, FB: Form<B>> Form<(A, B)> for (FA, FB) {
    fn store(value: &(A, B)) -> Self {
        (FA::store(&value.0), FB::store(&value.1))
    }
    fn restore(self) -> Result<(A, B), StoredError> {
        Ok((self.0.restore()?, self.1.restore()?))
    }
}

impl<A, B, C, FA: Form<A>, FB: Form<B>, FC: Form<C>> Form<(A, B, C)> for (FA, FB, FC) {
    fn store(value: &(A, B, C)) -> Self {
        (FA::store(&value.0), FB::store(&value.1), FC::store(&value.2))
    }
    fn restore(self) -> Result<(A, B, C), StoredError> {
        Ok((self.0.restore()?, self.1.restore()?, self.2.restore()?))
    }
}

impl<E, T: Form<E>> Form<Option<E>> for Option<T> {
    fn store(value: &Option<E>) -> Self {
        value.as_ref().map(T::store)
    }
    fn restore(self) -> Result<Option<E>, StoredError> {
        self.map(T::restore).transpose()
    }
}

impl<E, T: Form<E>> Form<Box<E>> for Box<T> {
    fn store(value: &Box<E>) -> Self {
        Box::new(T::store(value))
    }
    fn restore(self) -> Result<Box<E>, StoredError> {
        Ok(Box::new((*self).restore()?))
    }
}

/// Declares a stored shape: its bytes, and its way from and to an engine type, unless that is
/// written by hand.
macro_rules! form {
    (struct $name:ident { $($field:ident: $ty:ty),+ $(,)? }) => {
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) struct $name {
            $(pub(crate) $field: $ty),+
        }
        impl bincode::Encode for $name {
            fn encode<W: bincode::enc::Encoder>(
                &self,
                to: &mut W,
            ) -> Result<(), bincode::error::EncodeError> {
                $(bincode::Encode::encode(&self.$field, to)?;)+
                Ok(())
            }
        }
        impl<C> bincode::Decode<C> for $name {
            fn decode<R: bincode::de::Decoder<Context = C>>(
                from: &mut R,
            ) -> Result<Self, bincode::error::DecodeError> {
                Ok(Self { $($field: bincode::Decode::decode(from)?),+ })
            }
        }
    };
    (struct $name:ident = $module:ident::$engine:ident { $($field:ident: $ty:ty),+ $(,)? }) => {
        $crate::stored::form::form!(struct $name { $($field: $ty),+ });
        impl $crate::stored::form::Form<$module::$engine> for $name {
            fn store(value: &$module::$engine) -> Self {
                let $module::$engine { $($field),+ } = value;
                Self { $($field: $crate::stored::form::Form::store($field)),+ }
            }
            fn restore(self) -> Result<$module::$engine, $crate::stored::StoredError> {
                Ok($module::$engine {
                    $($field: $crate::stored::form::Form::restore(self.$field)?),+
                })
            }
        }
    };
    (enum $name:ident = $module:ident::$engine:ident { $(
        $code:literal => $variant:ident
            $(($($bind:ident: $tuple:ty),+))?
            $({ $($field:ident: $ty:ty),+ $(,)? })?
    ),+ $(,)? }) => {
        #[derive(Debug, Clone, PartialEq, Eq)]
        pub(crate) enum $name { $(
            $variant $(($($tuple),+))? $({ $($field: $ty),+ })?
        ),+ }
        impl $name {
            /// Every code that was ever given.
            #[cfg(test)]
            pub(crate) const CODES: &'static [u8] = &[$($code),+];
        }
        impl bincode::Encode for $name {
            fn encode<W: bincode::enc::Encoder>(
                &self,
                to: &mut W,
            ) -> Result<(), bincode::error::EncodeError> {
                match self { $(
                    Self::$variant $(($($bind),+))? $({ $($field),+ })? => {
                        bincode::Encode::encode(&($code as u8), to)?;
                        $($(bincode::Encode::encode($bind, to)?;)+)?
                        $($(bincode::Encode::encode($field, to)?;)+)?
                    }
                )+ }
                Ok(())
            }
        }
        impl<C> bincode::Decode<C> for $name {
            // Two variants with one code would not build.
            #[deny(unreachable_patterns)]
            fn decode<R: bincode::de::Decoder<Context = C>>(
                from: &mut R,
            ) -> Result<Self, bincode::error::DecodeError> {
                Ok(match <u8 as bincode::Decode<C>>::decode(from)? {
                    $($code => Self::$variant
                        $(($({
                            let $bind = bincode::Decode::decode(from)?;
                            $bind
                        }),+))?
                        $({ $($field: bincode::Decode::decode(from)?),+ })?,)+
                    found => {
                        return Err(bincode::error::DecodeError::OtherString(format!(
                            concat!("code {} of ", stringify!($name), " is not known"),
                            found
                        )));
                    }
                })
            }
        }
        impl $crate::stored::form::Form<$module::$engine> for $name {
            fn store(value: &$module::$engine) -> Self {
                match value { $(
                    $module::$engine::$variant $(($($bind),+))? $({ $($field),+ })? => {
                        Self::$variant
                            $(($($crate::stored::form::Form::store($bind)),+))?
                            $({ $($field: $crate::stored::form::Form::store($field)),+ })?
                    }
                )+ }
            }
            fn restore(self) -> Result<$module::$engine, $crate::stored::StoredError> {
                Ok(match self { $(
                    Self::$variant $(($($bind),+))? $({ $($field),+ })? => {
                        $module::$engine::$variant
                            $(($($crate::stored::form::Form::restore($bind)?),+))?
                            $({ $($field: $crate::stored::form::Form::restore($field)?),+ })?
                    }
                )+ })
            }
        }
    };
}
pub(crate) use form;
