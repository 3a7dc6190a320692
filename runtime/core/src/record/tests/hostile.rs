//! Bytes that nobody wrote: no panic, no overflow, no allocation out of proportion.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet, VecDeque};
use std::sync::Arc;

use proptest::prelude::*;

use super::sample::{Account, Everything, Opaque, Pair, Shape};
use super::*;
use crate::record::Key;

/// Counts what this thread allocates.
struct Counting;

thread_local! {
    static ALLOCATED: Cell<usize> = const { Cell::new(0) };
}

// SAFETY: hands every call on to the system's allocator unchanged; the counter is a plain cell
// that needs no destructor and no allocation.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATED.set(ALLOCATED.get() + layout.size());
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promises are the system allocator's.
        unsafe { System.dealloc(pointer, layout) }
    }
}

#[global_allocator]
static COUNTING: Counting = Counting;

/// Decodes in every way; no more than `factor` bytes are allocated for each byte of input.
fn decode<T: Record>(bytes: &[u8], factor: usize) {
    let plan = DecodePlan::resolve(&T::schema(), &T::schema()).unwrap();
    let field = |name, schema| super::super::support::field(name, &[], schema, true);
    let writer = super::super::support::structure(
        "Last",
        &[],
        vec![field("gone", T::schema()), field("mark", u8::schema())],
    );
    let skip = DecodePlan::resolve(&writer, &sample::Last::schema()).unwrap();
    let before = ALLOCATED.get();
    let plain = T::decode(&mut &*bytes).is_ok();
    let evolved = T::decode_evolved(&plan, &mut &*bytes).is_ok();
    let _ = sample::Last::decode_evolved(&skip, &mut &*bytes);
    let allocated = ALLOCATED.get() - before;
    assert_eq!(plain, evolved);
    let bound = 2 * factor * bytes.len() + 1024;
    assert!(allocated <= bound, "{allocated} bytes allocated for {bytes:?}");
}

fn decode_all(bytes: &[u8]) {
    decode::<(bool, u16, i64, u128, char)>(bytes, 1);
    decode::<(i128, f32, f64, usize, i8)>(bytes, 1);
    decode::<(String, Arc<str>, Vec<u8>)>(bytes, 4);
    decode::<Vec<u64>>(bytes, 32);
    decode::<Vec<[u64; 16]>>(bytes, 32);
    decode::<Vec<Option<String>>>(bytes, 128);
    decode::<VecDeque<Vec<()>>>(bytes, 128);
    decode::<[Box<u16>; 3]>(bytes, 64);
    decode::<BTreeMap<String, Vec<i16>>>(bytes, 1024);
    decode::<HashMap<u32, (String, u64)>>(bytes, 512);
    decode::<(BTreeSet<u8>, HashSet<u16>)>(bytes, 512);
    decode::<Everything>(bytes, 512);
    decode::<Vec<Shape>>(bytes, 512);
    decode::<Opaque>(bytes, 16);
}

/// A key that decodes is the canonical one.
fn decode_key<T: Key>(bytes: &[u8]) {
    let mut input = bytes;
    if let Ok(key) = T::decode_key(&mut input) {
        let mut canonical = Vec::new();
        key.encode_key(&mut canonical);
        assert_eq!(canonical, bytes[..bytes.len() - input.len()]);
    }
}

fn decode_all_keys(bytes: &[u8]) {
    decode_key::<(u8, i16)>(bytes);
    decode_key::<i64>(bytes);
    decode_key::<(u128, i128)>(bytes);
    decode_key::<(bool, char, ())>(bytes);
    decode_key::<(String, Vec<u8>)>(bytes);
    decode_key::<Vec<Option<Option<i8>>>>(bytes);
    decode_key::<[u8; 2]>(bytes);
    decode_key::<FloatKey>(bytes);
    decode_key::<Pair<Account, Option<bool>>>(bytes);
}

/// Bytes that come close to something real: small numbers, type codes.
fn plausible() -> impl Strategy<Value = Vec<u8>> {
    let byte = prop_oneof![
        4 => 0u8..6,
        2 => 0x1du8..0x24,
        2 => prop_oneof![Just(0x38u8), Just(0x40), Just(0x41), Just(0x42), Just(0x50), Just(0xff)],
        1 => any::<u8>(),
    ];
    proptest::collection::vec(byte, 0..64)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2000))]

    #[test]
    fn random_bytes_never_panic_nor_allocate_out_of_proportion(bytes: Vec<u8>) {
        decode_all(&bytes);
        decode_all_keys(&bytes);
    }

    #[test]
    fn plausible_bytes_never_panic_nor_allocate_out_of_proportion(bytes in plausible()) {
        decode_all(&bytes);
        decode_all_keys(&bytes);
    }

    #[test]
    fn a_random_schema_never_panics(schema in plausible(), bytes in plausible()) {
        if let Ok(schema) = postcard::from_bytes::<Schema>(&schema) {
            for reader in [Shape::schema(), <Vec<Option<u64>>>::schema()] {
                let _ = DecodePlan::resolve(&schema, &reader);
            }
            let gone = crate::record::support::field("gone", &[], schema, false);
            let mark = crate::record::support::field("mark", &[], u8::schema(), false);
            let writer = crate::record::support::structure("Last", &[], vec![gone, mark]);
            let plan = DecodePlan::resolve(&writer, &sample::Last::schema()).unwrap();
            let _ = sample::Last::decode_evolved(&plan, &mut bytes.as_slice());
        }
    }
}

#[test]
fn claimed_lengths_are_checked_before_anything_is_allocated() {
    let mut bytes = to_bytes(&u64::MAX);
    bytes.extend([0; 4]);
    let length = Err(DecodeError::Length { claimed: u64::MAX, remaining: 4 });
    assert_eq!(from_bytes::<Vec<u8>>(&bytes), length.clone());
    assert_eq!(from_bytes::<String>(&bytes).map(String::into_bytes), length);
    decode_all(&bytes);
    // As long as the input allows: elements of 128 bytes for each byte.
    let mut bytes = vec![0xff, 0x3f];
    bytes.extend([0xff; 0x1fff]);
    decode::<Vec<[u64; 16]>>(&bytes, 1);
}

#[test]
fn numbers_and_tags_out_of_range_are_refused() {
    let range = |type_name| Some(DecodeError::OutOfRange { type_name });
    let byte = |type_name, found| Some(DecodeError::InvalidByte { type_name, found });
    assert_eq!(from_bytes::<u16>(&[0xff, 0xff, 4]).err(), range("u16"));
    assert_eq!(from_bytes::<u64>(&[0xff; 10]).err(), range("u64"));
    assert_eq!(from_bytes::<u128>(&[0xff; 19]).err(), range("u128"));
    assert_eq!(from_bytes::<char>(&to_bytes(&0xd800u32)).err(), range("char"));
    assert_eq!(from_bytes::<bool>(&[2]).err(), byte("bool", 2));
    assert_eq!(from_bytes::<Option<u8>>(&[2]).err(), byte("Option", 2));
    assert_eq!(from_bytes::<String>(&[1, 0xff]).err(), Some(DecodeError::InvalidUtf8));
    assert_eq!(from_bytes::<u8>(&[1, 2]), Err(DecodeError::TrailingBytes { remaining: 1 }));
    assert_eq!(
        from_bytes::<Shape>(&[9]).err(),
        Some(DecodeError::UnknownVariant { type_name: "Shape".into(), index: 9 })
    );
    let end = |needed, remaining| Some(DecodeError::UnexpectedEnd { needed, remaining });
    assert_eq!(from_bytes::<u64>(&[0x80]).err(), end(1, 0));
    assert_eq!(from_bytes::<f64>(&[1, 2]).err(), end(8, 2));
}

#[test]
fn a_bottomless_schema_is_refused() {
    let option = postcard::to_stdvec(&<Option<bool>>::schema()).unwrap()[0];
    let error = postcard::from_bytes::<Schema>(&vec![option; 1 << 20]).unwrap_err();
    assert_eq!(error, postcard::Error::SerdeDeCustom);
    let error = serde_json::from_str::<Schema>(&"{\"option\":".repeat(126)).unwrap_err();
    assert!(error.is_eof(), "{error}");
}
