//! The derive macros `Record` and `Key`. What they mean is documented with the traits, in
//! `thalweg_core::record`; not here: any run-time behaviour.

use proc_macro::TokenStream;

mod fields;
mod key;
mod model;
mod record;
#[cfg(test)]
mod tests;

use self::model::Container;

/// Implements `Record`: schema, encoder and decoder, heap size, evolution.
/// Attributes: `opaque`, `rename_from`, `default`, `crate`; see the module `record`.
#[proc_macro_derive(Record, attributes(record))]
pub fn derive_record(input: TokenStream) -> TokenStream {
    expand(input, record::expand)
}

/// Implements `Key`: the canonical encoding is the fields' one after the other, of an enum the
/// variant's number and its fields. The order of fields and variants is part of it.
#[proc_macro_derive(Key, attributes(record))]
pub fn derive_key(input: TokenStream) -> TokenStream {
    expand(input, key::expand)
}

fn expand(
    input: TokenStream,
    expand: fn(&Container) -> syn::Result<proc_macro2::TokenStream>,
) -> TokenStream {
    syn::parse(input)
        .and_then(|input| Container::parse(&input))
        .and_then(|container| expand(&container))
        .unwrap_or_else(|error| error.into_compile_error())
        .into()
}
