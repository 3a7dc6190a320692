//! The implementation of `Key`. Not here: the encoding of single values.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Result, parse_quote};

use crate::fields::braces;
use crate::model::{Body, Container, Field, Variant};

pub(crate) fn expand(container: &Container) -> Result<TokenStream> {
    let Container { ident, root, .. } = container;
    let mut generics = container.generics.clone();
    let parameters: Vec<_> =
        generics.type_params().map(|parameter| parameter.ident.clone()).collect();
    let clause = generics.make_where_clause();
    for parameter in &parameters {
        clause.predicates.push(parse_quote!(#parameter: #root::record::Key));
    }
    let items = match &container.body {
        Body::Struct(fields) => struct_items(fields, root),
        Body::Enum(variants) => enum_items(variants, container),
    };
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #root::record::Key for #ident #type_generics #where_clause {
            #items
        }
    })
}

fn encode(fields: &[Field], root: &TokenStream) -> TokenStream {
    let parts = fields
        .iter()
        .map(|Field { binding, .. }| quote!(#root::record::Key::encode_key(#binding, out);));
    quote!(#(#parts)*)
}

fn decode(fields: &[Field], root: &TokenStream) -> TokenStream {
    let parts = fields.iter().map(|Field { binding, ty, .. }| {
        quote!(let #binding = <#ty as #root::record::Key>::decode_key(input)?;)
    });
    quote!(#(#parts)*)
}

fn functions(encode: &TokenStream, decode: &TokenStream, root: &TokenStream) -> TokenStream {
    quote! {
        #[inline]
        fn encode_key(&self, out: &mut ::std::vec::Vec<u8>) {
            #encode
        }
        #[inline]
        fn decode_key(
            input: &mut &[u8],
        ) -> ::core::result::Result<Self, #root::record::DecodeError> {
            #decode
        }
    }
}

fn struct_items(fields: &[Field], root: &TokenStream) -> TokenStream {
    let braces = braces(fields);
    let (encode, decode) = match fields {
        // It must take a byte, or lists of it couldn't be told apart.
        [] => (
            quote!(#root::record::Key::encode_key(&(), out);),
            quote!(<() as #root::record::Key>::decode_key(input)?;),
        ),
        _ => (encode(fields, root), decode(fields, root)),
    };
    let functions = functions(
        &quote!(let Self #braces = self; #encode),
        &quote!(#decode ::core::result::Result::Ok(Self #braces)),
        root,
    );
    // One field's encoding is the struct's: a newtype hashes as fast as what it wraps.
    let key_hash = match fields {
        [Field { member, .. }] => quote! {
            #[inline]
            fn key_hash(&self) -> u64 {
                #root::record::Key::key_hash(&self.#member)
            }
        },
        _ => quote!(),
    };
    quote!(#functions #key_hash)
}

fn enum_items(variants: &[Variant], container: &Container) -> TokenStream {
    let Container { name, root, .. } = container;
    let support = quote!(#root::record::support);
    let arms = (0u32..).zip(variants).map(|(index, Variant { ident, fields, .. })| {
        let (braces, encode) = (braces(fields), encode(fields, root));
        quote!(Self::#ident #braces => { #support::write_key_variant(#index, out); #encode })
    });
    let encode = quote!(match self { #(#arms)* });
    let arms = (0u32..).zip(variants).map(|(index, Variant { ident, fields, .. })| {
        let (braces, decode) = (braces(fields), decode(fields, root));
        quote!(#index => { #decode ::core::result::Result::Ok(Self::#ident #braces) })
    });
    let decode = quote! {
        match #support::read_key_variant(input)? {
            #(#arms)*
            other => ::core::result::Result::Err(#support::unknown_variant(#name, other)),
        }
    };
    functions(&encode, &decode, root)
}
