//! The implementation of `Record`. Not here: the code for single fields.

use proc_macro2::TokenStream;
use quote::quote;
use syn::{Result, parse_quote};

use crate::fields;
use crate::model::{Body, Container, Field, Variant};

pub(crate) fn expand(container: &Container) -> Result<TokenStream> {
    let Container { ident, root, .. } = container;
    let mut generics = container.generics.clone();
    let parameters: Vec<_> =
        generics.type_params().map(|parameter| parameter.ident.clone()).collect();
    let clause = generics.make_where_clause();
    for parameter in &parameters {
        clause.predicates.push(match container.opaque {
            true => parse_quote!(#parameter: #root::record::support::Opaque),
            false => parse_quote!(#parameter: #root::record::Record),
        });
    }
    if !parameters.is_empty() && !container.opaque {
        for Field { ty, .. } in container.all_fields().into_iter().filter(|field| field.opaque) {
            clause.predicates.push(parse_quote!(#ty: #root::record::support::Opaque));
        }
    }
    let items = if container.opaque { opaque_items(container)? } else { items(container) };
    let (impl_generics, type_generics, where_clause) = generics.split_for_impl();
    Ok(quote! {
        #[automatically_derived]
        impl #impl_generics #root::record::Record for #ident #type_generics #where_clause {
            #items
        }
    })
}

fn opaque_items(container: &Container) -> Result<TokenStream> {
    let Container { name, root, .. } = container;
    for field in container.all_fields() {
        if field.default.is_some() || field.opaque || !field.aliases.is_empty() {
            return Err(syn::Error::new_spanned(
                &field.ty,
                "the whole type is opaque: it never evolves, so its fields need no attributes",
            ));
        }
    }
    let support = quote!(#root::record::support);
    let signatures = Signatures::new(root);
    let Signatures { schema, encode, decode, decode_evolved, heap_size } = &signatures;
    Ok(quote! {
        const OWNS_HEAP: bool = ::core::mem::needs_drop::<Self>();
        #schema {
            #root::record::Schema::Opaque(::std::string::String::from(#name))
        }
        #encode { #support::encode_opaque(self, out); }
        #decode { #support::decode_opaque(input) }
        #decode_evolved {
            match plan.is_identity() {
                true => #support::decode_opaque(input),
                false => ::core::result::Result::Err(#support::plan_mismatch(#name)),
            }
        }
        #heap_size { #support::opaque_heap_size(self) }
    })
}

fn items(container: &Container) -> TokenStream {
    let Container { name, root, .. } = container;
    let owns_heap = container.all_fields().into_iter().map(|field| fields::owns_heap(field, root));
    let parts = match &container.body {
        Body::Struct(fields) => struct_parts(fields, container),
        Body::Enum(variants) => enum_parts(variants, container),
    };
    let Parts { schema, encode, decode, decode_evolved, heap_size } = parts;
    let signatures = Signatures::new(root);
    let Signatures {
        schema: schema_fn,
        encode: encode_fn,
        decode: decode_fn,
        decode_evolved: decode_evolved_fn,
        heap_size: heap_size_fn,
    } = &signatures;
    quote! {
        const OWNS_HEAP: bool = false #(|| #owns_heap)*;
        #schema_fn { #root::record::support::nested(#name, || #schema) }
        #[inline]
        #encode_fn {
            let _ = &out;
            #encode
        }
        #[inline]
        #decode_fn {
            let _ = &input;
            #decode
        }
        #decode_evolved_fn {
            if plan.is_identity() {
                return <Self as #root::record::Record>::decode(input);
            }
            #decode_evolved
        }
        #[inline]
        #heap_size_fn {
            if !<Self as #root::record::Record>::OWNS_HEAP {
                return 0;
            }
            #heap_size
        }
    }
}

/// The heads of the functions.
struct Signatures {
    schema: TokenStream,
    encode: TokenStream,
    decode: TokenStream,
    decode_evolved: TokenStream,
    heap_size: TokenStream,
}

impl Signatures {
    fn new(root: &TokenStream) -> Signatures {
        let result = quote!(::core::result::Result<Self, #root::record::DecodeError>);
        Signatures {
            schema: quote!(fn schema() -> #root::record::Schema),
            encode: quote!(fn encode(&self, out: &mut ::std::vec::Vec<u8>)),
            decode: quote!(fn decode(input: &mut &[u8]) -> #result),
            decode_evolved: quote! {
                fn decode_evolved(
                    plan: &#root::record::DecodePlan,
                    input: &mut &[u8],
                ) -> #result
            },
            heap_size: quote!(fn heap_size(&self) -> usize),
        }
    }
}

/// The bodies of the functions.
struct Parts {
    schema: TokenStream,
    encode: TokenStream,
    decode: TokenStream,
    decode_evolved: TokenStream,
    heap_size: TokenStream,
}

fn struct_parts(fields: &[Field], container: &Container) -> Parts {
    let Container { name, root, aliases, .. } = container;
    let braces = fields::braces(fields);
    let schemas = fields::schemas(fields, root);
    let encode = fields::encode(fields, root);
    let decode = fields::decode(fields, root);
    let decode_evolved = fields::decode_evolved(fields, name, root);
    let heap_size = fields::heap_size(fields, root);
    let built = quote!(::core::result::Result::Ok(Self #braces));
    Parts {
        schema: quote!(#root::record::support::structure(#name, &[#(#aliases),*], #schemas)),
        encode: quote!(let Self #braces = self; #encode),
        decode: quote!(#decode #built),
        decode_evolved: quote! {
            let mut fields = plan.fields(#name)?;
            #decode_evolved
            #built
        },
        heap_size: quote!(let Self #braces = self; #heap_size),
    }
}

fn enum_parts(variants: &[Variant], container: &Container) -> Parts {
    let Container { name, root, aliases, .. } = container;
    let support = quote!(#root::record::support);
    let (mut schemas, mut encode, mut decode) = (Vec::new(), Vec::new(), Vec::new());
    let (mut decode_evolved, mut heap_size) = (Vec::new(), Vec::new());
    for (index, variant) in (0u32..).zip(variants) {
        let Variant { ident, name: variant_name, aliases, fields } = variant;
        let braces = fields::braces(fields);
        let fields_schemas = fields::schemas(fields, root);
        schemas.push(quote!(#support::variant(#variant_name, &[#(#aliases),*], #fields_schemas)));
        let encode_fields = fields::encode(fields, root);
        encode.push(quote! {
            Self::#ident #braces => { #support::write_variant(#index, out); #encode_fields }
        });
        let decode_fields = fields::decode(fields, root);
        let built = quote!(::core::result::Result::Ok(Self::#ident #braces));
        decode.push(quote!(#index => { #decode_fields #built }));
        let decode_evolved_fields = fields::decode_evolved(fields, name, root);
        decode_evolved.push(quote!(#index => { #decode_evolved_fields #built }));
        let size = fields::heap_size(fields, root);
        heap_size.push(quote!(Self::#ident #braces => { #size }));
    }
    Parts {
        schema: quote! {
            #support::enumeration(#name, &[#(#aliases),*], ::std::vec![#(#schemas),*])
        },
        encode: quote!(match self { #(#encode)* }),
        decode: quote! {
            match #support::read_variant(input)? {
                #(#decode)*
                other => ::core::result::Result::Err(#support::unknown_variant(#name, other)),
            }
        },
        decode_evolved: quote! {
            let (variant, mut fields) = plan.variant(input, #name)?;
            match variant {
                #(#decode_evolved)*
                _ => ::core::result::Result::Err(#support::plan_mismatch(#name)),
            }
        },
        heap_size: quote!(match self { #(#heap_size)* }),
    }
}
