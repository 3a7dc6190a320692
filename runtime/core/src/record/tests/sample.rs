//! Derived types that the tests share: every kind of struct and variant, generics, opaque parts.

use serde::{Deserialize, Serialize};

use crate::record::{Key, Record};

#[derive(Clone, Debug, PartialEq, Record)]
#[record(crate = "crate")]
pub(super) struct Everything {
    pub(super) number: u64,
    pub(super) text: String,
    pub(super) list: Vec<i32>,
    pub(super) pair: Pair<bool, Option<String>>,
    pub(super) hidden: Opaque,
    pub(super) shapes: Vec<Shape>,
    pub(super) r#type: Unit,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Record, Key)]
#[record(crate = "crate")]
pub(super) struct Pair<A, B = u8>(pub(super) A, pub(super) B);

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Record, Key)]
#[record(crate = "crate")]
pub(super) struct Unit;

#[derive(Clone, Debug, PartialEq, Record, Serialize, Deserialize)]
#[record(crate = "crate", opaque)]
pub(super) struct Opaque {
    pub(super) code: u64,
    pub(super) text: String,
}

#[derive(Clone, Debug, PartialEq, Record)]
#[record(crate = "crate")]
pub(super) enum Shape {
    Nothing,
    Circle(u64),
    Rectangle {
        width: u64,
        label: String,
        #[record(opaque)]
        hidden: Vec<i32>,
    },
}

/// What remains after a field was removed before `mark`.
#[derive(Clone, Debug, PartialEq, Record)]
#[record(crate = "crate")]
pub(super) struct Last {
    pub(super) mark: u8,
}

#[derive(Clone, Record)]
#[record(crate = "crate")]
pub(super) struct Recursive {
    children: Vec<Recursive>,
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Record, Key)]
#[record(crate = "crate")]
pub(super) enum Account {
    Anonymous,
    Numbered(u64),
    Named { bank: String, number: i32 },
}

#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Record, Key)]
#[record(crate = "crate")]
pub(super) struct AccountId(pub(super) u64);
