//! Each change that a type may undergo, and each that's refused with its place and reason.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt::Debug;
use std::sync::Arc;

use proptest::prelude::*;

use super::super::{DecodeError, DecodePlan, EvolutionRefusal, FloatKey, Record, to_bytes};

fn evolve<Old: Record, New: Record>(old: &Old) -> Result<New, DecodeError> {
    let plan = DecodePlan::resolve(&Old::schema(), &New::schema()).unwrap();
    let bytes = to_bytes(old);
    let input = &mut bytes.as_slice();
    let new = New::decode_evolved(&plan, input)?;
    assert!(input.is_empty(), "{} byte(s) left", input.len());
    Ok(new)
}

fn becomes<Old: Record, New: Record + PartialEq + Debug>(old: Old, new: New) {
    assert_eq!(evolve::<Old, New>(&old), Ok(new));
}

fn refusal<Old: Record, New: Record>() -> (String, EvolutionRefusal) {
    let error = DecodePlan::resolve(&Old::schema(), &New::schema()).unwrap_err();
    (error.path, error.reason)
}

/// Declares one version of the types in a module of its own.
macro_rules! version {
    ($name:ident { $($(#[$attribute:meta])* $kind:ident $type:ident $body:tt)+ }) => {
        mod $name {
            #[allow(unused_imports, reason = "not every version uses them")]
            use std::collections::BTreeMap;

            use crate::record::Record;

            $(
                #[derive(Clone, Debug, PartialEq, Record)]
                #[record(crate = "crate")]
                $(#[$attribute])*
                pub(super) $kind $type $body
            )+
        }
    };
}

version!(v1 {
    struct Payment {
        pub(super) id: u32,
        pub(super) memo: String,
        pub(super) amount: i32,
        pub(super) place: Place,
        pub(super) state: State,
        pub(super) notes: BTreeMap<u16, Vec<Place>>,
    }
    struct Place { pub(super) latitude: f32, pub(super) name: String }
    enum State { Open, Refused(String, u8), Paid { at: u32, by: String }, Lost }
});

version!(v2 {
    struct Payment {
        #[record(default = "super::currency")]
        pub(super) currency: String,
        #[record(rename_from = "amount")]
        pub(super) cents: i64,
        pub(super) id: u64,
        pub(super) state: State,
        #[record(rename_from = "where", rename_from = "place")]
        pub(super) location: Option<Location>,
        #[record(default)]
        pub(super) tags: Vec<String>,
        pub(super) notes: BTreeMap<u32, Vec<Location>>,
    }
    #[record(rename_from = "Place")]
    struct Location { pub(super) name: Option<String>, pub(super) latitude: f64 }
    enum State {
        New,
        #[record(rename_from = "Paid")]
        Settled {
            by: String,
            #[record(default)] fee: u8,
            at: i64,
        },
        Refused(String, u16),
        Open,
    }
});

fn currency() -> String {
    "EUR".into()
}

fn payment(state: v1::State) -> v1::Payment {
    let place = |name: &str| v1::Place { latitude: 1.5, name: name.into() };
    v1::Payment {
        id: 7,
        memo: "gone".into(),
        amount: -3,
        place: place("here"),
        state,
        notes: BTreeMap::from([(300, vec![place("a"), place("b")])]),
    }
}

fn evolved(state: v2::State) -> v2::Payment {
    let location = |name: &str| v2::Location { name: Some(name.into()), latitude: 1.5 };
    v2::Payment {
        currency: "EUR".into(),
        cents: -3,
        id: 7,
        state,
        location: Some(location("here")),
        tags: vec![],
        notes: BTreeMap::from([(300, vec![location("a"), location("b")])]),
    }
}

#[test]
fn a_type_evolves_in_all_allowed_ways_at_once() {
    becomes(payment(v1::State::Open), evolved(v2::State::Open));
    becomes(
        payment(v1::State::Refused("no".into(), 9)),
        evolved(v2::State::Refused("no".into(), 9)),
    );
    becomes(
        payment(v1::State::Paid { at: u32::MAX, by: "me".into() }),
        evolved(v2::State::Settled { at: u32::MAX.into(), by: "me".into(), fee: 0 }),
    );
}

#[test]
fn a_value_of_a_removed_variant_is_an_error_that_names_it() {
    let error = evolve::<_, v2::Payment>(&payment(v1::State::Lost)).unwrap_err();
    let removed = DecodeError::RemovedVariant { type_name: "State".into(), variant: "Lost".into() };
    assert_eq!(error, removed);
    assert!(error.to_string().contains("State::Lost"), "{error}");
}

#[test]
fn single_values_widen_and_become_optional() {
    becomes(255u8, 255u16);
    becomes(255u8, 255i16);
    becomes(u16::MAX, u32::from(u16::MAX));
    becomes(u32::MAX, u64::from(u32::MAX));
    becomes(u32::MAX, i64::from(u32::MAX));
    becomes(u64::MAX, u128::from(u64::MAX));
    becomes(u64::MAX, i128::from(u64::MAX));
    becomes(u32::MAX, usize::try_from(u32::MAX).unwrap());
    becomes(i8::MIN, i16::from(i8::MIN));
    becomes(i32::MIN, i64::from(i32::MIN));
    becomes(i64::MIN, i128::from(i64::MIN));
    becomes(1.25f32, 1.25f64);
    becomes(1.25f32, FloatKey::new(1.25));
    becomes(7u64, Some(7u64));
    becomes(7u8, Some(Some(7u64)));
    becomes(Some(7u8), Some(7u64));
    becomes(None::<u8>, None::<u64>);
    becomes(vec![1u8, 2], vec![1u32, 2]);
    becomes(vec![1u32, 2], std::collections::VecDeque::from([1u64, 2]));
    becomes([1u32, 2], [1u64, 2]);
    becomes([1u32, 2], [Box::new(Some(1u64)), Box::new(Some(2))]);
    becomes((1u32, 'x', "a".to_string()), (1i64, 'x', Arc::<str>::from("a")));
    becomes(BTreeSet::from([1u8, 2]), std::collections::HashSet::<u16>::from([1u16, 2]));
    becomes(BTreeMap::from([(1u8, 2u8)]), HashMap::<u64, Option<u8>>::from([(1, Some(2))]));
    becomes(HashMap::<u8, u8>::from([(1, 2)]), BTreeMap::from([(1u16, 2u8)]));
}

#[test]
fn equal_layouts_need_no_plan() {
    version!(old { struct A { x: u8, y: Vec<u8> } enum E { One, Two(u8) } });
    version!(new {
        #[record(rename_from = "A")]
        struct B { #[record(rename_from = "x")] z: u8, #[record(default)] y: Vec<u8> }
        enum E { One, Two(u8), Three }
    });
    version!(swapped { struct A { y: Vec<u8>, x: u8 } enum E { Two(u8), One } });
    let identity = |writer, reader| DecodePlan::resolve(&writer, &reader).unwrap().is_identity();
    assert!(identity(old::A::schema(), new::B::schema()));
    assert!(identity(old::E::schema(), new::E::schema()));
    assert!(!identity(old::A::schema(), swapped::A::schema()));
    assert!(!identity(old::E::schema(), swapped::E::schema()));
    assert!(!identity(new::E::schema(), old::E::schema()));
}

#[test]
fn a_plan_tells_whether_keys_stay_what_they_are() {
    version!(old { struct A { x: u8, y: String } enum E { One(u8), Two(A) } });
    version!(kept {
        struct A { #[record(rename_from = "x")] z: u64, y: String }
        enum E { One(u16), Two(A), Three }
    });
    version!(moved { struct A { y: String, x: u8 } enum E { Two(A), One(u8) } });
    version!(added { struct A { x: u8, y: String, #[record(default)] z: u8 } enum E { One(u8) } });
    let keeps = |writer, reader| DecodePlan::resolve(&writer, &reader).unwrap().keeps_keys();
    assert!(keeps(<(u8, Vec<old::E>)>::schema(), <(u16, Vec<kept::E>)>::schema()));
    assert!(keeps(old::A::schema(), kept::A::schema()));
    for (writer, reader) in [
        (old::A::schema(), moved::A::schema()),
        (old::A::schema(), added::A::schema()),
        (added::A::schema(), old::A::schema()),
        (old::E::schema(), moved::E::schema()),
        (old::E::schema(), added::E::schema()),
        (u8::schema(), <Option<u8>>::schema()),
    ] {
        assert!(!keeps(writer, reader));
    }
}

version!(base {
    struct Outer { inner: Vec<Inner>, map: BTreeMap<String, Option<Inner>> }
    struct Inner { a: u32, b: Choice }
    enum Choice { One(u16), Two { x: (u8, f64) } }
});

#[test]
fn everything_else_is_refused_with_its_place_and_reason() {
    version!(no_default {
        struct Outer { inner: Vec<Inner>, #[record(default)] map: BTreeMap<String, Option<Inner>> }
        struct Inner { a: u32, b: Choice, added: u8 }
        enum Choice { One(u16), Two { x: (u8, f64) } }
    });
    version!(narrowed {
        struct Outer { #[record(default)] list: u8, map: BTreeMap<String, Option<Inner>> }
        struct Inner { a: u16, b: Choice }
        enum Choice { One(u16), Two { x: (u8, f64) } }
    });
    version!(changed {
        struct Outer { inner: Vec<Inner> }
        struct Inner { a: u32, b: Choice }
        enum Choice { One(u16), Two { x: (u8, i64) } }
    });
    version!(longer {
        struct Outer { inner: Vec<Inner> }
        struct Inner { b: Choice }
        enum Choice { One(u16, u8), Two { x: (u8, f64) } }
    });
    version!(renamed { struct Other { inner: u8 } });
    let kind = |writer: &str, reader: &str| EvolutionRefusal::Kind {
        writer: writer.into(),
        reader: reader.into(),
    };
    let table = [
        (
            refusal::<base::Outer, no_default::Outer>(),
            "Outer.inner[].added",
            EvolutionRefusal::NoDefault,
        ),
        (refusal::<base::Outer, narrowed::Outer>(), "Outer.map{value}?.a", kind("u32", "u16")),
        (refusal::<base::Outer, changed::Outer>(), "Outer.inner[].b::Two.x.1", kind("f64", "i64")),
        (
            refusal::<base::Outer, longer::Outer>(),
            "Outer.inner[].b::One.1",
            EvolutionRefusal::NoDefault,
        ),
        (
            refusal::<base::Outer, renamed::Other>(),
            "Other",
            EvolutionRefusal::TypeName { writer: "Outer".into(), reader: "Other".into() },
        ),
    ];
    for ((path, reason), expected_path, expected_reason) in table {
        assert_eq!((path.as_str(), reason), (expected_path, expected_reason));
    }
}

#[test]
fn no_other_kinds_mix() {
    let table = [
        refusal::<u64, u32>(),
        refusal::<i32, u64>(),
        refusal::<u32, i32>(),
        refusal::<u64, i64>(),
        refusal::<u128, i128>(),
        refusal::<f64, f32>(),
        refusal::<u32, f64>(),
        refusal::<bool, u8>(),
        refusal::<u32, char>(),
        refusal::<char, String>(),
        refusal::<String, Vec<u8>>(),
        refusal::<Vec<u32>, Vec<u8>>(),
        refusal::<Option<u8>, u8>(),
        refusal::<Vec<u8>, BTreeSet<u8>>(),
        refusal::<BTreeSet<u8>, Vec<u8>>(),
        refusal::<[u8; 2], Vec<u8>>(),
        refusal::<[u8; 2], (u8, u8)>(),
        refusal::<BTreeMap<u8, u8>, Vec<(u8, u8)>>(),
        refusal::<u64, super::sample::AccountId>(),
        refusal::<super::sample::AccountId, u64>(),
        refusal::<super::sample::Unit, ()>(),
        refusal::<base::Inner, base::Choice>(),
        refusal::<base::Choice, base::Inner>(),
    ];
    for (path, reason) in table {
        assert!(matches!(reason, EvolutionRefusal::Kind { .. }), "{path}: {reason}");
    }
}

#[test]
fn lengths_and_opaque_values_never_change() {
    let arity = |writer, reader| EvolutionRefusal::Arity { writer, reader };
    assert_eq!(refusal::<(u8, u8), (u8, u8, u8)>().1, arity(2, 3));
    assert_eq!(refusal::<[u8; 2], [u8; 3]>().1, arity(2, 3));
    type Hidden = super::sample::Opaque;
    assert!(matches!(refusal::<Hidden, String>().1, EvolutionRefusal::Opaque { .. }));
    assert!(matches!(refusal::<String, Hidden>().1, EvolutionRefusal::Opaque { .. }));
    let hidden = Hidden { code: 5, text: "x".into() };
    becomes(hidden.clone(), Some(hidden));
}

#[test]
fn an_error_reads_as_a_sentence_with_a_remedy() {
    let error = DecodePlan::resolve(&<Vec<u64>>::schema(), &<Vec<u32>>::schema()).unwrap_err();
    assert_eq!(
        error.to_string(),
        "Vec<u32>[]: written as u64, read as u32; only wider integers, f32 to f64, and T to \
         Option<T> are allowed: keep the old type and add a field for the new one"
    );
}

#[test]
fn a_plan_of_another_type_is_an_error() {
    let plan = DecodePlan::resolve(&u32::schema(), &u64::schema()).unwrap();
    let bytes: &[u8] = &[1, 2, 3];
    assert!(String::decode_evolved(&plan, &mut &*bytes).is_err());
    assert!(bool::decode_evolved(&plan, &mut &*bytes).is_err());
    assert!(f64::decode_evolved(&plan, &mut &*bytes).is_err());
    assert!(<Vec<u8>>::decode_evolved(&plan, &mut &*bytes).is_err());
    assert!(<(u8, u8)>::decode_evolved(&plan, &mut &*bytes).is_err());
    assert!(<BTreeMap<u8, u8>>::decode_evolved(&plan, &mut &*bytes).is_err());
    assert!(v2::Payment::decode_evolved(&plan, &mut &*bytes).is_err());
    assert!(v2::State::decode_evolved(&plan, &mut &*bytes).is_err());
}

proptest! {
    #[test]
    fn hostile_bytes_never_panic_an_evolving_reader(bytes: Vec<u8>) {
        let plan = DecodePlan::resolve(&v1::Payment::schema(), &v2::Payment::schema()).unwrap();
        let _ = v2::Payment::decode_evolved(&plan, &mut bytes.as_slice());
    }
}
