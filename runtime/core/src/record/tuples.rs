//! `Record` for tuples of up to eight elements and `Key` for up to six.

use super::{DecodeError, DecodePlan, Key, Record, Schema};

macro_rules! record_tuple {
    ($($name:ident $plan:ident $index:tt),+) => {
        impl<$($name: Record),+> Record for ($($name,)+) {
            const OWNS_HEAP: bool = false $(|| $name::OWNS_HEAP)+;

            fn schema() -> Schema {
                Schema::Tuple(vec![$($name::schema()),+])
            }

            #[inline]
            fn encode(&self, out: &mut Vec<u8>) {
                $(self.$index.encode(out);)+
            }

            #[inline]
            fn decode(input: &mut &[u8]) -> Result<Self, DecodeError> {
                Ok(($($name::decode(input)?,)+))
            }

            fn decode_evolved(plan: &DecodePlan, input: &mut &[u8]) -> Result<Self, DecodeError> {
                if plan.is_identity() {
                    return Self::decode(input);
                }
                let [$($plan),+] = plan.elements()?;
                Ok(($($name::decode_evolved($plan, input)?,)+))
            }

            #[inline]
            fn heap_size(&self) -> usize {
                0 $(+ self.$index.heap_size())+
            }
        }
    };
}

macro_rules! key_tuple {
    ($($name:ident $index:tt),+) => {
        impl<$($name: Key),+> Key for ($($name,)+) {
            #[inline]
            fn encode_key(&self, out: &mut Vec<u8>) {
                $(self.$index.encode_key(out);)+
            }

            #[inline]
            fn decode_key(input: &mut &[u8]) -> Result<Self, DecodeError> {
                Ok(($($name::decode_key(input)?,)+))
            }
        }
    };
}

record_tuple!(A a 0);
record_tuple!(A a 0, B b 1);
record_tuple!(A a 0, B b 1, C c 2);
record_tuple!(A a 0, B b 1, C c 2, D d 3);
record_tuple!(A a 0, B b 1, C c 2, D d 3, E e 4);
record_tuple!(A a 0, B b 1, C c 2, D d 3, E e 4, F f 5);
record_tuple!(A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6);
record_tuple!(A a 0, B b 1, C c 2, D d 3, E e 4, F f 5, G g 6, H h 7);

key_tuple!(A 0);
key_tuple!(A 0, B 1);
key_tuple!(A 0, B 1, C 2);
key_tuple!(A 0, B 1, C 2, D 3);
key_tuple!(A 0, B 1, C 2, D 3, E 4);
key_tuple!(A 0, B 1, C 2, D 3, E 4, F 5);
