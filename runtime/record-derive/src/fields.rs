//! Code for one list of fields, of a struct or of a variant. Not here: what is around it.

use proc_macro2::TokenStream;
use quote::{ToTokens, quote};

use crate::model::Field;

/// `{ a: __field0, 1: __field1 }`: takes apart or builds any kind of struct or variant.
pub(crate) fn braces(fields: &[Field]) -> TokenStream {
    let parts = fields.iter().map(|Field { member, binding, .. }| quote!(#member: #binding));
    quote!({ #(#parts),* })
}

/// A vector of field schemas.
pub(crate) fn schemas(fields: &[Field], root: &TokenStream) -> TokenStream {
    let parts = fields.iter().map(|field| {
        let Field { name, aliases, ty, .. } = field;
        let has_default = field.default.is_some();
        let schema = if field.opaque {
            let text = ty.to_token_stream().to_string();
            quote!(#root::record::Schema::Opaque(::std::string::String::from(#text)))
        } else {
            quote!(<#ty as #root::record::Record>::schema())
        };
        quote!(#root::record::support::field(#name, &[#(#aliases),*], #schema, #has_default))
    });
    quote!(::std::vec![#(#parts),*])
}

/// `|| a || b`
pub(crate) fn owns_heap(field: &Field, root: &TokenStream) -> TokenStream {
    let ty = &field.ty;
    match field.opaque {
        true => quote!(::core::mem::needs_drop::<#ty>()),
        false => quote!(<#ty as #root::record::Record>::OWNS_HEAP),
    }
}

/// Statements that append the bound fields to `out`.
pub(crate) fn encode(fields: &[Field], root: &TokenStream) -> TokenStream {
    let parts = fields.iter().map(|Field { binding, opaque, .. }| match opaque {
        true => quote!(#root::record::support::encode_opaque(#binding, out);),
        false => quote!(#root::record::Record::encode(#binding, out);),
    });
    quote!(#(#parts)*)
}

/// Statements that bind the fields from `input`.
pub(crate) fn decode(fields: &[Field], root: &TokenStream) -> TokenStream {
    let parts = fields.iter().map(|field| {
        let (binding, ty) = (&field.binding, &field.ty);
        let value = decode_one(field, root);
        quote!(let #binding: #ty = #value;)
    });
    quote!(#(#parts)*)
}

fn decode_one(field: &Field, root: &TokenStream) -> TokenStream {
    let ty = &field.ty;
    match field.opaque {
        true => quote!(#root::record::support::decode_opaque::<#ty>(input)?),
        false => quote!(<#ty as #root::record::Record>::decode(input)?),
    }
}

/// Statements that bind the fields from `input` as the field cursor `fields` says.
pub(crate) fn decode_evolved(fields: &[Field], type_name: &str, root: &TokenStream) -> TokenStream {
    let empty = fields.iter().map(|Field { binding, ty, .. }| {
        quote!(let mut #binding: ::core::option::Option<#ty> = ::core::option::Option::None;)
    });
    let arms = fields.iter().enumerate().map(|(index, field)| {
        let (binding, ty) = (&field.binding, &field.ty);
        let value = match field.opaque {
            true => decode_one(field, root),
            false => quote!(<#ty as #root::record::Record>::decode_evolved(plan, input)?),
        };
        quote!(#index => #binding = ::core::option::Option::Some(#value),)
    });
    let mismatch = quote! {
        return ::core::result::Result::Err(#root::record::support::plan_mismatch(#type_name))
    };
    let filled = fields.iter().map(|Field { binding, default, .. }| {
        let absent = default.as_ref().unwrap_or(&mismatch);
        quote! {
            let #binding = match #binding {
                ::core::option::Option::Some(value) => value,
                ::core::option::Option::None => #absent,
            };
        }
    });
    quote! {
        #(#empty)*
        while let ::core::option::Option::Some((index, plan)) = fields.next(input)? {
            let _ = plan;
            match index {
                #(#arms)*
                _ => #mismatch,
            }
        }
        #(#filled)*
    }
}

/// The sum of what the bound fields own.
pub(crate) fn heap_size(fields: &[Field], root: &TokenStream) -> TokenStream {
    let parts = fields.iter().map(|Field { binding, opaque, .. }| match opaque {
        true => quote!(+ #root::record::support::opaque_heap_size(#binding)),
        false => quote!(+ #root::record::Record::heap_size(#binding)),
    });
    quote!(0usize #(#parts)*)
}
