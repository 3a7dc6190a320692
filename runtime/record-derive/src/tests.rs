//! What the macros refuse, and which crate their code refers to. What the code does is tested
//! in `thalweg_core::record`.

use crate::model::Container;
use crate::{key, record};

fn expand(source: &str) -> Result<String, String> {
    syn::parse_str(source)
        .and_then(|input| Container::parse(&input))
        .and_then(|container| Ok((record::expand(&container)?, key::expand(&container)?)))
        .map(|(record, key)| format!("{record} {key}"))
        .map_err(|error| error.to_string())
}

#[test]
fn what_cant_be_a_record_is_refused_with_the_reason() {
    let table = [
        ("enum Never {}", "an enum without variants has no values"),
        ("union Bits { a: u8 }", "a union can't be a record"),
        ("struct Borrowed<'a> { a: &'a str }", "it can't have lifetime parameters"),
        ("struct A { #[record(rename_from = \"b\")] a: u8, b: u8 }", "two claim the name `b`"),
        (
            "struct A { #[record(rename_from = \"x\")] a: u8, \
             #[record(rename_from = \"x\")] b: u8 }",
            "two claim the name `x`",
        ),
        ("enum E { #[record(rename_from = \"B\")] A, B }", "two claim the name `B`"),
        ("#[record(default)] struct A;", "on a type"),
        ("enum E { #[record(opaque)] A }", "rename_from = \"Old\" on a variant"),
        ("struct A { #[record(skip)] a: u8 }", "opaque on a field"),
        ("struct A { #[record(default = 5)] a: u8 }", "expected string literal"),
        ("#[record(opaque)] struct A { #[record(default)] a: u8 }", "the whole type is opaque"),
    ];
    for (source, expected) in table {
        let error = expand(source).expect_err(source);
        assert!(error.contains(expected), "{source}: {error}");
    }
}

#[test]
fn the_code_refers_to_the_facade_unless_told_otherwise() {
    let facade = expand("struct A { a: u8 }").unwrap();
    assert!(facade.contains(":: thalweg :: __private :: record :: Record for A"), "{facade}");
    let internal = expand("#[record(crate = \"thalweg_core\")] enum A { B(u8) }").unwrap();
    assert!(internal.contains("thalweg_core :: record :: Key for A"), "{internal}");
    assert!(!internal.contains("__private"), "{internal}");
}
