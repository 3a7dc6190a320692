//! Tests of the type contract: round trips, hostile bytes; evolution and keys in their files.

mod described;
mod evolution;
mod hostile;
mod key;
mod sample;

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::BuildHasherDefault;
use std::sync::Arc;

use proptest::prelude::*;

use self::sample::{Everything, Opaque, Pair, Recursive, Shape, Unit};
use super::{DecodeError, DecodePlan, FloatKey, Record, Schema, from_bytes, to_bytes};

/// Encodes, decodes plainly and by the plan of its own schema, and after a skipped field.
fn round_trip<T: Record + PartialEq + Debug>(value: &T) {
    let bytes = to_bytes(value);
    assert_eq!(from_bytes::<T>(&bytes).as_ref(), Ok(value));
    let plan = DecodePlan::resolve(&T::schema(), &T::schema()).unwrap();
    assert!(plan.is_identity());
    let input = &mut bytes.as_slice();
    assert_eq!(T::decode_evolved(&plan, input).as_ref(), Ok(value));
    assert!(input.is_empty());
    skipped(value);
    if !T::OWNS_HEAP {
        assert_eq!(value.heap_size(), 0);
    }
}

/// A removed field of the value's type is skipped exactly.
fn skipped<T: Record>(value: &T) {
    let field = |name, schema| super::support::field(name, &[], schema, false);
    let writer = super::support::structure(
        "Last",
        &[],
        vec![field("gone", T::schema()), field("mark", u8::schema())],
    );
    let plan = DecodePlan::resolve(&writer, &sample::Last::schema()).unwrap();
    let bytes = to_bytes(&(value.clone(), 0xa5u8));
    let input = &mut bytes.as_slice();
    assert_eq!(sample::Last::decode_evolved(&plan, input), Ok(sample::Last { mark: 0xa5 }));
    assert!(input.is_empty());
}

proptest! {
    #[test]
    fn scalars_round_trip(
        small: (bool, u8, u16, u32, u64, usize),
        signed: (i8, i16, i32, i64, isize),
        wide: (u128, i128),
        text: (char, String),
        bits: (u32, u64),
    ) {
        round_trip(&small);
        round_trip(&signed);
        round_trip(&wide);
        round_trip(&text);
        round_trip(&Arc::<str>::from(text.1.as_str()));
        let float = f64::from_bits(bits.1);
        prop_assert_eq!(from_bytes::<f64>(&to_bytes(&float)).unwrap().to_bits(), bits.1);
        let float = f32::from_bits(bits.0);
        prop_assert_eq!(from_bytes::<f32>(&to_bytes(&float)).unwrap().to_bits(), bits.0);
        round_trip(&FloatKey::new(f64::from_bits(bits.1)));
    }

    #[test]
    fn integers_of_every_length_round_trip_wherever_the_input_ends(
        value: u128, shift in 0..128u32, tail in 0..10usize,
    ) {
        let value = value >> shift;
        let mut bytes = to_bytes(&(value as u64, value as i64, value));
        let length = bytes.len();
        let bits = (64 - (value as u64).leading_zeros()).max(1);
        prop_assert_eq!(to_bytes(&(value as u64)).len(), bits.div_ceil(7) as usize);
        bytes.extend(vec![0xff; tail]);
        let mut input = bytes.as_slice();
        let expected = (value as u64, value as i64, value);
        prop_assert_eq!(<(u64, i64, u128)>::decode(&mut input), Ok(expected));
        prop_assert_eq!(input.len(), tail);
        for end in 0..length {
            prop_assert!(<(u64, i64, u128)>::decode(&mut &bytes[..end]).is_err());
        }
    }

    #[test]
    fn collections_round_trip(
        list: Vec<(u16, Option<String>)>,
        bytes: Vec<u8>,
        deque: VecDeque<i64>,
        array: [u32; 5],
        texts: [String; 2],
        tree: BTreeMap<String, Vec<u8>>,
        table: HashMap<i32, String>,
        nested: Vec<Vec<Box<i16>>>,
    ) {
        round_trip(&list);
        round_trip(&bytes);
        round_trip(&deque);
        round_trip(&array);
        round_trip(&texts);
        round_trip(&tree.keys().cloned().collect::<BTreeSet<_>>());
        round_trip(&tree);
        round_trip(&table.keys().copied().collect::<HashSet<_>>());
        round_trip(&table);
        round_trip(&nested);
    }

    #[test]
    fn derived_types_round_trip(number: u64, text: String, flag: bool, list: Vec<i32>) {
        let everything = Everything {
            number,
            text: text.clone(),
            list: list.clone(),
            pair: Pair(flag, Some(text.clone())),
            hidden: Opaque { code: number, text: text.clone() },
            shapes: vec![
                Shape::Nothing,
                Shape::Circle(number),
                Shape::Rectangle { width: number, label: text.clone(), hidden: list },
            ],
            r#type: Unit,
        };
        round_trip(&everything);
        round_trip(&Opaque { code: number, text });
    }
}

#[test]
fn collections_of_values_without_bytes_round_trip_and_stay_bounded() {
    round_trip(&vec![(); 1000]);
    round_trip(&vec![Unit; 3]);
    round_trip(&VecDeque::from(vec![[[0u8; 0]; 7]; 5]));
    round_trip(&BTreeMap::from([((), ())]));
    round_trip(&HashSet::from([Unit]));
    round_trip(&vec![vec![(); 3], vec![], vec![(); 1]]);
    assert_eq!(
        from_bytes::<Vec<()>>(&[5, 0, 0]),
        Err(DecodeError::Length { claimed: 5, remaining: 2 })
    );
}

#[test]
fn equal_hash_maps_have_equal_bytes_whatever_the_hasher_and_the_order() {
    let forward: HashMap<String, u32> = (0..100).map(|i| (format!("key {i}"), i)).collect();
    let backward: HashMap<String, u32, BuildHasherDefault<std::hash::DefaultHasher>> =
        (0..100).rev().map(|i| (format!("key {i}"), i)).collect();
    assert_eq!(to_bytes(&forward), to_bytes(&backward));
    let set: HashSet<u8> = (0..=9).rev().collect();
    assert_eq!(to_bytes(&set), [10, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9]);
}

#[test]
fn the_encoding_is_compact_and_fixed() {
    let table: [(Vec<u8>, &[u8]); 13] = [
        (to_bytes(&5u64), &[5]),
        (to_bytes(&300u32), &[0xac, 2]),
        (to_bytes(&u64::MAX), &[255, 255, 255, 255, 255, 255, 255, 255, 255, 1]),
        (to_bytes(&-1i64), &[1]),
        (to_bytes(&-3i128), &[5]),
        (to_bytes(&-1i8), &[255]),
        (to_bytes(&1.5f32), &[0, 0, 0xc0, 0x3f]),
        (to_bytes(&"né".to_string()), &[3, b'n', 0xc3, 0xa9]),
        (to_bytes(&Some(7u8)), &[1, 7]),
        (to_bytes(&vec![1u8, 2]), &[2, 1, 2]),
        (to_bytes(&Shape::Circle(9)), &[1, 9]),
        (to_bytes(&Pair(true, 'a')), &[1, 97]),
        (to_bytes(&Opaque { code: 1, text: "x".into() }), &[3, 1, 1, b'x']),
    ];
    for (actual, expected) in table {
        assert_eq!(actual, expected);
    }
}

#[test]
fn the_heap_size_counts_what_is_owned() {
    assert_eq!(String::with_capacity(100).heap_size(), 100);
    assert_eq!(Vec::<u64>::with_capacity(10).heap_size(), 80);
    assert_eq!(Box::new(7u32).heap_size(), 4);
    assert_eq!(Some(String::with_capacity(3)).heap_size(), 3);
    assert_eq!(Pair(1u8, vec![1u8; 9]).heap_size(), 9);
    assert_eq!(Shape::Circle(1).heap_size(), 0);
    let shape = Shape::Rectangle { width: 1, label: "12345".into(), hidden: vec![1, 2] };
    // The opaque list counts as its encoding: a length and two bytes.
    assert_eq!(shape.heap_size(), 5 + 3);
    assert_eq!(vec!["12345".to_string(); 1].heap_size(), 24 + 5);
    let table: HashMap<u64, String> = HashMap::from([(1, "0123456789".repeat(100))]);
    assert!(table.heap_size() > 1000 + 32);
    const { assert!(!Pair::<u8, f64>::OWNS_HEAP && Pair::<u8, String>::OWNS_HEAP) };
    const { assert!(!Unit::OWNS_HEAP && Shape::OWNS_HEAP && !<(u8, [char; 3])>::OWNS_HEAP) };
}

#[test]
fn a_schema_survives_serde_and_its_fingerprint_is_fixed() {
    let schema = Everything::schema();
    let bytes = postcard::to_stdvec(&schema).unwrap();
    assert_eq!(postcard::from_bytes::<Schema>(&bytes).unwrap(), schema);
    let text = serde_json::to_string(&schema).unwrap();
    assert_eq!(serde_json::from_str::<Schema>(&text).unwrap(), schema);
    assert_eq!(schema.fingerprint(), 16_187_058_899_228_027_119);
    assert_ne!(u32::schema().fingerprint(), u64::schema().fingerprint());
    assert_ne!(<(u8, (u8,))>::schema().fingerprint(), <(u8, u8, ())>::schema().fingerprint());
}

#[test]
fn a_schema_tells_names_and_kinds() {
    let Schema::Struct { name, fields, .. } = Everything::schema() else { panic!("a struct") };
    let fields: Vec<_> =
        fields.iter().map(|field| format!("{}: {}", field.name, field.schema)).collect();
    assert_eq!(name, "Everything");
    assert_eq!(
        fields,
        [
            "number: u64",
            "text: String",
            "list: Vec<i32>",
            "pair: struct Pair",
            "hidden: opaque Opaque",
            "shapes: Vec<enum Shape>",
            "type: struct Unit",
        ]
    );
    assert_eq!(Vec::<u8>::schema(), Schema::Bytes);
}

#[test]
#[should_panic(expected = "type Recursive contains itself: give it #[record(opaque)]")]
fn a_recursive_type_is_refused_by_name() {
    Recursive::schema();
}
