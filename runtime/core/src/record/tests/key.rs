//! The canonical key encoding: golden vectors, order, one encoding for each key.

use std::fmt::Debug;
use std::sync::Arc;

use proptest::prelude::*;
use xxhash_rust::xxh3::xxh3_64;

use super::super::{DecodeError, FloatKey, Key};
use super::sample::{Account, AccountId, Pair, Unit};
use crate::key_group::key_group;

fn bytes(key: &impl Key) -> Vec<u8> {
    let mut bytes = Vec::new();
    key.encode_key(&mut bytes);
    bytes
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Name, encoding, hash, key group of 128. Never to be changed: state and routing depend on it.
const GOLDEN: &[(&str, &str, u64, u32)] = &[
    ("0", "20", 0xfc15_37fc_103c_b7cf, 10),
    ("1", "2101", 0xdfa8_814a_4769_863c, 84),
    ("5", "2105", 0x8da6_2ac9_de36_2018, 83),
    ("-1", "1ffe", 0x9f87_e5d7_ce89_3d41, 67),
    ("-256", "1efeff", 0xc1bf_a661_1544_c3e7, 95),
    ("255", "21ff", 0x2512_ede6_800d_9310, 9),
    ("256", "220100", 0x899f_7b5a_074d_2797, 79),
    ("1234567890123", "26011f71fb04cb", 0x935c_9815_3afb_c2c6, 46),
    ("i64::MIN", "187fffffffffffffff", 0x7333_8fe7_50b9_efba, 25),
    ("i64::MAX", "287fffffffffffffff", 0x7e45_7bdb_b381_5da3, 34),
    ("u64::MAX", "28ffffffffffffffff", 0x4770_21a4_533c_5138, 56),
    ("i128::MIN", "107fffffffffffffffffffffffffffffff", 0x8c6c_0ece_ca45_f429, 54),
    ("u128::MAX", "30ffffffffffffffffffffffffffffffff", 0x0a59_5076_c311_2150, 44),
    ("true", "05", 0x929e_358d_27ae_3ee2, 79),
    ("'é'", "400000e9", 0xc902_c859_3514_b033, 1),
    ("\"\"", "4100", 0xeee6_702b_f171_1e5b, 115),
    ("\"user-42\"", "41757365722d343200", 0x736a_d215_c316_a114, 53),
    ("\"a\\0b\"", "416101016200", 0xf73c_1d69_1668_36d0, 30),
    ("\"\\u{1}\"", "41010200", 0x0603_245d_1790_e481, 1),
    (
        "70 times x",
        "4178787878787878787878787878787878787878787878787878787878787878787878\
         7878787878787878787878787878787878787878787878787878787878787878787878\
         7800",
        0x1e50_d39c_afad_e65c,
        40,
    ),
    ("bytes 00 ff", "420101ff00", 0xc74f_82c2_8f80_ffe9, 39),
    ("1.5", "38bff8000000000000", 0x683e_52d0_63c5_c956, 31),
    ("-0.0", "388000000000000000", 0x9dc2_ad6d_9398_e74b, 97),
    ("NaN", "38fff8000000000000", 0x81fd_3124_7cbf_b06f, 126),
    ("None", "01", 0xe12e_f9d2_eb86_ceeb, 23),
    ("Some(7)", "2107", 0x2747_332b_a95a_6c14, 35),
    ("Some(None)", "0201", 0x66e9_c4aa_7c53_ef78, 116),
    ("()", "03", 0x13e6_08bc_156d_efed, 115),
    ("Unit", "03", 0x13e6_08bc_156d_efed, 115),
    ("[1, 2]", "502101210200", 0x600e_4160_391e_2ac8, 7),
    ("(\"a\", -2)", "4161001ffd", 0x3b55_c30b_a527_aabf, 42),
    ("AccountId(42)", "212a", 0xecc0_29e6_8b95_c1d4, 96),
    ("Account::Anonymous", "20", 0xfc15_37fc_103c_b7cf, 10),
    ("Account::Named", "21024162002103", 0x764b_ba8b_42c1_ac8d, 37),
];

/// Checks that a key round-trips and hashes what it encodes; returns what the table holds.
fn vector<K: Key + Debug>(name: &'static str, key: K) -> (&'static str, String, u64, u32) {
    let encoded = bytes(&key);
    assert_eq!(key.key_hash(), xxh3_64(&encoded), "{name}");
    let mut input = encoded.as_slice();
    assert_eq!(K::decode_key(&mut input).as_ref(), Ok(&key));
    assert!(input.is_empty());
    (name, hex(&encoded), key.key_hash(), key_group(key.key_hash(), 128))
}

#[test]
fn the_encoding_the_hash_and_the_key_group_never_change() {
    // The hash function is the published one: the XXH3 vector of the empty input.
    assert_eq!(xxh3_64(b""), 0x2d06_8005_38d3_94c2);
    let actual = [
        vector("0", 0u64),
        vector("1", 1i8),
        vector("5", 5u8),
        vector("-1", -1i64),
        vector("-256", -256i32),
        vector("255", 255u8),
        vector("256", 256u16),
        vector("1234567890123", 1_234_567_890_123u64),
        vector("i64::MIN", i64::MIN),
        vector("i64::MAX", i64::MAX),
        vector("u64::MAX", u64::MAX),
        vector("i128::MIN", i128::MIN),
        vector("u128::MAX", u128::MAX),
        vector("true", true),
        vector("'é'", 'é'),
        vector("\"\"", String::new()),
        vector("\"user-42\"", "user-42".to_string()),
        vector("\"a\\0b\"", Arc::<str>::from("a\0b")),
        vector("\"\\u{1}\"", "\u{1}".to_string()),
        vector("70 times x", "x".repeat(70)),
        vector("bytes 00 ff", vec![0u8, 0xff]),
        vector("1.5", FloatKey::new(1.5)),
        vector("-0.0", FloatKey::new(-0.0)),
        vector("NaN", FloatKey::new(-f64::NAN)),
        vector("None", None::<u8>),
        vector("Some(7)", Some(7u32)),
        vector("Some(None)", Some(None::<u8>)),
        vector("()", ()),
        vector("Unit", Unit),
        vector("[1, 2]", vec![1u32, 2]),
        vector("(\"a\", -2)", ("a".to_string(), -2i64)),
        vector("AccountId(42)", AccountId(42)),
        vector("Account::Anonymous", Account::Anonymous),
        vector("Account::Named", Account::Named { bank: "b".into(), number: 3 }),
    ];
    let golden: Vec<_> =
        GOLDEN.iter().map(|row| (row.0, row.1.to_string(), row.2, row.3)).collect();
    let table: Vec<_> = actual
        .iter()
        .map(|(name, hex, hash, group)| format!("    ({name:?}, {hex:?}, {hash:#018x}, {group}),"))
        .collect();
    assert_eq!(actual.as_slice(), golden, "\n{}\n", table.join("\n"));
}

#[test]
fn an_integer_is_the_same_key_in_every_width() {
    let table = [
        [bytes(&5u8), bytes(&5i64), bytes(&5i128), bytes(&5usize), bytes(&AccountId(5))],
        [bytes(&-5i8), bytes(&-5i64), bytes(&-5i128), bytes(&-5isize), bytes(&Box::new(-5i16))],
    ];
    for row in table {
        assert!(row.iter().all(|bytes| *bytes == row[0]), "{row:?}");
    }
    assert_eq!(5u8.key_hash(), Pair(5i128, ()).0.key_hash());
    // Only in options within options does `Some` show.
    assert_eq!(bytes(&Some(5u8)), bytes(&5u8));
}

#[test]
fn only_the_shortest_form_is_a_key() {
    let refused: [(&[u8], &str); 6] = [
        (&[0x22, 0, 5], "a leading zero"),
        (&[0x1e, 0xff, 0xfa], "a leading zero's complement"),
        (&[0x21], "too short"),
        (&[0x29, 1, 0, 0, 0, 0, 0, 0, 0, 0], "too large"),
        (&[0x31], "too long"),
        (&[0x41, 0], "a string"),
    ];
    for (bytes, name) in refused {
        assert!(i64::decode_key(&mut &*bytes).is_err(), "{name}");
    }
    assert_eq!(
        u8::decode_key(&mut bytes(&-1i8).as_slice()),
        Err(DecodeError::OutOfRange { type_name: "u8" })
    );
    let negative_zero = [&[0x38][..], &(!(-0.0f64).to_bits()).to_be_bytes()].concat();
    assert!(FloatKey::decode_key(&mut negative_zero.as_slice()).is_err());
    assert!(<Option<u8>>::decode_key(&mut [2, 0x21, 5].as_slice()).is_err());
}

/// The order of bytes is the order of keys; different keys aren't prefixes of one another.
fn ordered<K: Key + Ord + Debug>(a: &K, b: &K) {
    let (first, second) = (bytes(a), bytes(b));
    assert_eq!(a.cmp(b), first.cmp(&second), "{a:?} {b:?}: {} {}", hex(&first), hex(&second));
    assert!(a == b || !first.starts_with(&second) && !second.starts_with(&first));
    for key in [a, b] {
        let mut encoded = bytes(key);
        assert_eq!(key.key_hash(), xxh3_64(&encoded));
        encoded.push(0x77);
        let mut input = encoded.as_slice();
        assert_eq!(K::decode_key(&mut input).as_ref(), Ok(key));
        assert_eq!(input, [0x77]);
    }
}

/// Texts that share prefixes, with the bytes that need escapes.
fn text() -> impl Strategy<Value = String> {
    proptest::collection::vec(
        prop_oneof![Just('\0'), Just('\u{1}'), Just('a'), Just('\u{ff}'), any::<char>()],
        0..6,
    )
    .prop_map(String::from_iter)
}

fn account() -> impl Strategy<Value = Account> {
    prop_oneof![
        Just(Account::Anonymous),
        any::<u64>().prop_map(Account::Numbered),
        (text(), any::<i32>()).prop_map(|(bank, number)| Account::Named { bank, number }),
    ]
}

/// Numbers of every length.
fn number() -> impl Strategy<Value = i128> {
    (any::<i128>(), 0..128u32).prop_map(|(value, shift)| value >> shift)
}

fn options() -> impl Strategy<Value = Option<Option<Option<u8>>>> {
    proptest::option::of(proptest::option::of(proptest::option::of(0u8..3)))
}

proptest! {
    #[test]
    fn integers_keep_their_order(a in number(), b in number()) {
        ordered(&a, &b);
        ordered(&(a as i64), &(b as i64));
        ordered(&(a as u64), &(b as u64));
        ordered(&(a as u128), &(b as u128));
        ordered(&(a as i8), &(b as i8));
        ordered(&(a as u16), &(b as u16));
        prop_assert_eq!(bytes(&(a as i64)), bytes(&i128::from(a as i64)));
        prop_assert_eq!(bytes(&(a as u64)), bytes(&i128::from(a as u64)));
    }

    #[test]
    fn texts_bytes_and_floats_keep_their_order(
        a in text(), b in text(), floats: (u64, u64), chars: (char, char),
    ) {
        ordered(&a, &b);
        ordered(&Arc::<str>::from(a.as_str()), &Arc::<str>::from(b.as_str()));
        ordered(&a.into_bytes(), &b.into_bytes());
        ordered(&chars.0, &chars.1);
        let (a, b) = (f64::from_bits(floats.0), f64::from_bits(floats.1));
        ordered(&FloatKey::new(a), &FloatKey::new(b));
        if let Some(order) = a.partial_cmp(&b) {
            prop_assert_eq!(FloatKey::new(a).cmp(&FloatKey::new(b)), order);
        }
    }

    #[test]
    fn composites_keep_their_order(
        texts in (text(), text()),
        numbers in (-2i64..3, -2i64..3),
        options in (options(), options()),
        accounts in (account(), account()),
        lists: (Vec<(bool, ())>, Vec<(bool, ())>),
        nested in (
            proptest::collection::vec(proptest::collection::vec(text(), 0..3), 0..3),
            proptest::collection::vec(proptest::collection::vec(text(), 0..3), 0..3),
        ),
    ) {
        ordered(&options.0, &options.1);
        ordered(&(texts.0.clone(), numbers.0), &(texts.1.clone(), numbers.1));
        ordered(&(numbers.0, texts.0.clone()), &(numbers.1, texts.1.clone()));
        ordered(&Some((options.0, numbers.0)), &Some((options.1, numbers.1)));
        ordered(&Pair(accounts.0.clone(), options.0), &Pair(accounts.1.clone(), options.1));
        ordered(&(texts.0, accounts.0, Unit), &(texts.1, accounts.1, Unit));
        ordered(&lists.0, &lists.1);
        ordered(&nested.0, &nested.1);
        ordered(&[numbers.0, 1], &[numbers.1, 1]);
        ordered(&vec![options.0; 2], &vec![options.1; 2]);
    }
}
