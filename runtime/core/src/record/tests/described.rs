//! Values and keys shown by their schemas, compared with what serde makes of the values.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use serde::Serialize;
use serde_json::{Value, json};

use super::sample::{Account, AccountId, Everything, Opaque, Pair, Shape, Unit};
use crate::record::{FloatKey, Key, Record, Schema, StoredKey, StoredValue, to_bytes};

fn value<T: Record>(value: &T) -> Value {
    let (schema, bytes) = (T::schema(), to_bytes(value));
    serde_json::to_value(StoredValue { schema: &schema, bytes: &bytes }).unwrap()
}

fn key<T: Key>(key: &T) -> Value {
    let (schema, mut bytes) = (T::schema(), Vec::new());
    key.encode_key(&mut bytes);
    serde_json::to_value(StoredKey { schema: &schema, bytes: &bytes }).unwrap()
}

fn as_serde<T: Record + Serialize>(shown: &T) {
    assert_eq!(value(shown), serde_json::to_value(shown).unwrap());
}

fn key_as_serde<T: Key + Serialize>(shown: &T) {
    as_serde(shown);
    assert_eq!(key(shown), serde_json::to_value(shown).unwrap());
}

proptest! {
    #[test]
    fn what_serde_knows_looks_as_serde_shows_it(
        unsigned: (u8, u16, u32, u64),
        signed: (i8, i16, i32, i64),
        text: (char, String, bool),
        floats: (f32, f64),
        nested: (Option<u32>, Vec<Option<String>>, [i16; 3]),
        map in proptest::collection::btree_map(any::<String>(), any::<(u8, bool)>(), 0..5),
        pairs in proptest::collection::vec(any::<(i64, char)>(), 0..5),
    ) {
        key_as_serde(&unsigned);
        key_as_serde(&signed);
        key_as_serde(&text);
        key_as_serde(&nested);
        key_as_serde(&pairs);
        key_as_serde(&());
        as_serde(&floats);
        as_serde(&map);
        as_serde(&map.keys().cloned().collect::<BTreeSet<_>>());
        let by_number: BTreeMap<i64, char> = pairs.iter().copied().collect();
        let expected: Vec<_> = by_number.iter().collect();
        prop_assert_eq!(value(&by_number), serde_json::to_value(expected).unwrap());
        prop_assert_eq!(key(&FloatKey::new(floats.1)), json!(floats.1 + 0.0));
    }

    #[test]
    fn foreign_bytes_are_an_error_or_a_value_and_never_a_panic(
        bytes in proptest::collection::vec(any::<u8>(), 0..200),
    ) {
        for schema in [Everything::schema(), Account::schema(), <Vec<()>>::schema()] {
            let shown = serde_json::to_vec(&StoredValue { schema: &schema, bytes: &bytes });
            prop_assert!(shown.is_err() || shown.unwrap().len() < 300 * (bytes.len() + 1));
            let shown = serde_json::to_vec(&StoredKey { schema: &schema, bytes: &bytes });
            prop_assert!(shown.is_err() || shown.unwrap().len() < 300 * (bytes.len() + 1));
        }
    }
}

#[test]
fn derived_types_are_shown_with_the_names_of_their_fields_and_variants() {
    let shown = Everything {
        number: 7,
        text: "a\"b".into(),
        list: vec![-1, 2],
        pair: Pair(true, None),
        hidden: Opaque { code: 1, text: "x".into() },
        shapes: vec![
            Shape::Nothing,
            Shape::Circle(3),
            Shape::Rectangle { width: 4, label: "l".into(), hidden: vec![5] },
        ],
        r#type: Unit,
    };
    let opaque = |bytes: &str, name: &str| json!({"opaque": name, "bytes": bytes});
    let found = value(&shown);
    let name = found["hidden"]["opaque"].as_str().unwrap().to_owned();
    assert!(name.contains("Opaque"), "{name}");
    let list = found["shapes"][2]["Rectangle"]["hidden"]["opaque"].as_str().unwrap().to_owned();
    let expected = json!({
        "number": 7, "text": "a\"b", "list": [-1, 2], "pair": [true, null],
        "hidden": opaque("010178", &name),
        "shapes": [
            "Nothing",
            {"Circle": 3},
            {"Rectangle": {"width": 4, "label": "l", "hidden": opaque("010a", &list)}},
        ],
        "type": null,
    });
    assert_eq!(found, expected);

    let account = Account::Named { bank: "b".into(), number: -5 };
    let expected = json!({"Named": {"bank": "b", "number": -5}});
    assert_eq!((value(&account), key(&account)), (expected.clone(), expected));
    assert_eq!(key(&Account::Anonymous), json!("Anonymous"));
    assert_eq!(key(&AccountId(9)), json!(9));
    assert_eq!(key(&(Unit, 1u8)), json!([null, 1]));
}

#[test]
fn what_json_has_no_word_for_is_text() {
    assert_eq!(value(&u128::MAX), json!(u128::MAX.to_string()));
    assert_eq!(key(&i128::MIN), json!(i128::MIN.to_string()));
    assert_eq!(value(&vec![0u8, 255]), json!("00ff"));
    assert_eq!(key(&[0u8, 1]), json!("0001"));
    assert_eq!(value(&[1u8, 2, 3]), json!("010203"));
    let floats = (f64::NAN, f64::NEG_INFINITY, f32::INFINITY);
    assert_eq!(value(&floats), json!(["NaN", "-inf", "inf"]));
    let options = (Some(Some(1u8)), Some(None::<u8>), None::<Option<u8>>);
    let expected = json!([{"some": 1}, {"some": null}, null]);
    assert_eq!((value(&options), key(&options)), (expected.clone(), expected));
    assert_eq!(value(&vec![(); 2]), json!([null, null]));
    assert_eq!(value(&[(); 1000]), json!({"length": 1000}));
}

#[test]
fn bytes_that_are_not_one_whole_value_are_refused() {
    let schema = <(u8, String)>::schema();
    let bytes = to_bytes(&(1u8, "text".to_owned()));
    for end in 0..bytes.len() {
        let shown = StoredValue { schema: &schema, bytes: &bytes[..end] };
        assert!(serde_json::to_string(&shown).is_err(), "{end} bytes");
    }
    let longer = [bytes.as_slice(), &[0]].concat();
    let error = serde_json::to_string(&StoredValue { schema: &schema, bytes: &longer });
    assert!(error.unwrap_err().to_string().contains("1 byte"));
    let wide = Schema::Integer { bits: 16, signed: false };
    let bytes = to_bytes(&70_000u32);
    assert!(serde_json::to_string(&StoredValue { schema: &wide, bytes: &bytes }).is_err());
    let endless = Schema::Array { element: Box::new(Schema::Tuple(vec![])), length: usize::MAX };
    let shown = serde_json::to_string(&StoredValue { schema: &endless, bytes: &[] }).unwrap();
    assert_eq!(shown, format!("{{\"length\":{}}}", usize::MAX));
}
