//! The versions of the types. [`first`] and [`second`] read each other's state; those in
//! [`refused`] can't read the first one's.

use thalweg::prelude::*;

/// The types of a version, and what the program needs of them.
pub(super) trait Version: Send + Sync + 'static {
    type AccountKey: Key;
    type Account: Record;
    type Movement: Record;

    fn key(number: u64) -> Self::AccountKey;
    /// `novel`: with a value that other versions don't know, if the version has one.
    fn account(owner: String, cents: u64, novel: bool) -> Self::Account;
    fn owner(account: &Self::Account) -> String;
    fn cents(account: &Self::Account) -> u64;
    fn movement(cents: u64) -> Self::Movement;
    fn amount(movement: &Self::Movement) -> u64;
}

/// What the state was written as first.
pub(super) mod first {
    use super::{Record, Version};

    #[derive(Clone, Debug, Record)]
    pub(in super::super) struct Account {
        /// The second version calls it so.
        #[record(rename_from = "holder")]
        owner: String,
        cents: u64,
        /// The second version has no such field.
        #[record(default)]
        closed: bool,
        status: Status,
    }

    #[derive(Clone, Debug, Record)]
    enum Status {
        Open,
        Frozen,
    }

    #[derive(Clone, Debug, Record)]
    pub(in super::super) struct Movement {
        cents: u64,
    }

    pub(in super::super) struct First;

    impl Version for First {
        type AccountKey = u32;
        type Account = Account;
        type Movement = Movement;

        fn key(number: u64) -> u32 {
            number as u32
        }

        fn account(owner: String, cents: u64, _novel: bool) -> Account {
            let status = if cents.is_multiple_of(3) { Status::Frozen } else { Status::Open };
            Account { owner, cents, closed: cents.is_multiple_of(2), status }
        }

        fn owner(account: &Account) -> String {
            account.owner.clone()
        }

        fn cents(account: &Account) -> u64 {
            account.cents
        }

        fn movement(cents: u64) -> Movement {
            Movement { cents }
        }

        fn amount(movement: &Movement) -> u64 {
            movement.cents
        }
    }
}

/// A field is new, one is gone, one has another name; a variant is new; keys are wider.
pub(super) mod second {
    use super::{Record, Version};

    #[derive(Clone, Debug, Record)]
    pub(in super::super) struct Account {
        #[record(default)]
        limit: Option<u64>,
        cents: u64,
        #[record(rename_from = "owner")]
        holder: String,
        status: Status,
    }

    #[derive(Clone, Debug, Record)]
    enum Status {
        Open,
        Closed { because: String },
        Frozen,
    }

    #[derive(Clone, Debug, Record)]
    pub(in super::super) struct Movement {
        #[record(default = "unknown")]
        note: String,
        cents: u64,
    }

    fn unknown() -> String {
        "unknown".to_owned()
    }

    pub(in super::super) struct Second;

    impl Version for Second {
        type AccountKey = u64;
        type Account = Account;
        type Movement = Movement;

        fn key(number: u64) -> u64 {
            number
        }

        fn account(holder: String, cents: u64, novel: bool) -> Account {
            let status = match (novel, cents.is_multiple_of(3)) {
                (true, _) => Status::Closed { because: "it's late".to_owned() },
                (false, true) => Status::Frozen,
                (false, false) => Status::Open,
            };
            Account { limit: Some(cents), cents, holder, status }
        }

        fn owner(account: &Account) -> String {
            account.holder.clone()
        }

        fn cents(account: &Account) -> u64 {
            account.cents
        }

        fn movement(cents: u64) -> Movement {
            Movement { note: "new".to_owned(), cents }
        }

        fn amount(movement: &Movement) -> u64 {
            let known = usize::from(movement.note == "new" || movement.note == "unknown");
            movement.cents * known as u64
        }
    }
}

/// What can't read the first version's state, each for another reason.
pub(super) mod refused {
    use super::{Record, Version};
    use thalweg::prelude::Key;

    /// A version whose account is a struct with an owner and cents, and more.
    macro_rules! version {
        ($name:ident, $module:ident, $key:ty, $cents:ty, { $($field:ident: $type:ty),* }) => {
            pub(in super::super) struct $name;

            mod $module {
                use super::Record;

                #[derive(Clone, Debug, Record)]
                pub(in super::super::super) struct Account {
                    pub(super) owner: String,
                    pub(super) cents: $cents,
                    $(pub(super) $field: $type),*
                }

                #[derive(Clone, Debug, Record)]
                pub(in super::super::super) struct Movement {
                    pub(super) cents: u64,
                }
            }

            impl Version for $name {
                type AccountKey = $key;
                type Account = $module::Account;
                type Movement = $module::Movement;

                fn key(number: u64) -> $key {
                    <$key as FromNumber>::from_number(number)
                }

                fn account(owner: String, cents: u64, _novel: bool) -> Self::Account {
                    let cents = <$cents as FromNumber>::from_number(cents);
                    $module::Account { owner, cents, $($field: <$type>::default()),* }
                }

                fn owner(account: &Self::Account) -> String {
                    account.owner.clone()
                }

                fn cents(account: &Self::Account) -> u64 {
                    account.cents.number()
                }

                fn movement(cents: u64) -> Self::Movement {
                    $module::Movement { cents }
                }

                fn amount(movement: &Self::Movement) -> u64 {
                    movement.cents
                }
            }
        };
    }

    trait FromNumber: Key {
        fn from_number(number: u64) -> Self;
        fn number(&self) -> u64;
    }

    impl FromNumber for u64 {
        fn from_number(number: u64) -> u64 {
            number
        }

        fn number(&self) -> u64 {
            *self
        }
    }

    impl FromNumber for String {
        fn from_number(number: u64) -> String {
            number.to_string()
        }

        fn number(&self) -> u64 {
            self.parse().unwrap_or(0)
        }
    }

    version!(WithoutDefault, without_default, u64, u64, { branch: String });
    version!(Retyped, retyped, u64, String, {});
    version!(Rekeyed, rekeyed, String, u64, {});
}
