//! What of a configuration must not be shown: values of secret-looking keys, and credentials
//! within a URI.

/// What stands in place of a secret, as in Flink.
pub const HIDDEN_CONTENT: &str = "******";

/// A key that contains one of these names a secret.
const SECRET_PARTS: [&str; 11] = [
    "password",
    "passwd",
    "secret",
    "token",
    "access-key",
    "access.key",
    "accesskey",
    "private-key",
    "api-key",
    "apikey",
    "credential",
];

/// True when the key looks as if its value were a secret.
pub fn is_secret(key: &str) -> bool {
    let key = key.to_ascii_lowercase().replace('_', "-");
    SECRET_PARTS.iter().any(|part| key.contains(part))
}

/// The value as it may be shown: hidden when the key is a secret's, else without the user
/// information of a URI (`s3://user:password@host/...`).
pub fn redacted(key: &str, value: &str) -> String {
    if is_secret(key) {
        return HIDDEN_CONTENT.to_owned();
    }
    let Some((scheme, rest)) = value.split_once("://") else { return value.to_owned() };
    let authority_end = rest.find(['/', '?', '#']).unwrap_or(rest.len());
    match rest[..authority_end].rfind('@') {
        Some(at) => format!("{scheme}://{HIDDEN_CONTENT}{}", &rest[at..]),
        None => value.to_owned(),
    }
}
