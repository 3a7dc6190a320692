//! A failure as Flink's Java clients read it: besides its text an object of its class
//! `SerializedThrowable`, written by the rules of Java's Object Serialization Stream Protocol.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The longest text that is passed on, in characters: what a Java string's short form can hold.
const TEXT_MAX: usize = 20_000;

const STREAM_HEADER: [u8; 4] = [0xac, 0xed, 0x00, 0x05];
const TC_NULL: u8 = 0x70;
const TC_REFERENCE: u8 = 0x71;
const TC_CLASSDESC: u8 = 0x72;
const TC_OBJECT: u8 = 0x73;
const TC_STRING: u8 = 0x74;
const TC_ENDBLOCKDATA: u8 = 0x78;
/// The handle of the first thing in a stream; the next ones count up.
const BASE_HANDLE: u32 = 0x007e_0000;
const SERIALIZABLE: u8 = 0x02;
/// Serializable, with data that the class writes itself.
const SERIALIZABLE_AND_WRITES: u8 = 0x03;

/// `{"class": .., "stack-trace": .., "serialized-throwable": ..}`.
pub(super) fn failure_cause(class: &str, message: &str) -> Value {
    let message: String = message.chars().take(TEXT_MAX).collect();
    let text = format!("{class}: {message}");
    let object = STANDARD.encode(serialized_throwable(class, &text));
    json!({ "class": class, "stack-trace": text, "serialized-throwable": object })
}

/// A `SerializedThrowable` that stands for an exception of this class with this text. It holds no
/// other object, so a client shows the text.
fn serialized_throwable(class: &str, text: &str) -> Vec<u8> {
    let mut bytes = STREAM_HEADER.to_vec();
    bytes.push(TC_OBJECT);
    let name = "org.apache.flink.util.SerializedThrowable";
    class_header(&mut bytes, name, 7_284_183_123_441_947_635, SERIALIZABLE, 3);
    field(&mut bytes, b'L', "fullStringifiedStackTrace");
    string(&mut bytes, "Ljava/lang/String;");
    field(&mut bytes, b'L', "originalErrorClassName");
    reference_to_string_type(&mut bytes);
    field(&mut bytes, b'[', "serializedException");
    string(&mut bytes, "[B");
    bytes.push(TC_ENDBLOCKDATA);
    let suid = -3_387_516_993_124_229_948;
    class_header(&mut bytes, "java.lang.Exception", suid, SERIALIZABLE, 0);
    bytes.push(TC_ENDBLOCKDATA);
    let suid = -3_042_686_055_658_047_285;
    class_header(&mut bytes, "java.lang.Throwable", suid, SERIALIZABLE_AND_WRITES, 4);
    field(&mut bytes, b'L', "cause");
    string(&mut bytes, "Ljava/lang/Throwable;");
    field(&mut bytes, b'L', "detailMessage");
    reference_to_string_type(&mut bytes);
    field(&mut bytes, b'[', "stackTrace");
    string(&mut bytes, "[Ljava/lang/StackTraceElement;");
    field(&mut bytes, b'L', "suppressedExceptions");
    string(&mut bytes, "Ljava/util/List;");
    // Throwable has no serializable class above it.
    bytes.extend([TC_ENDBLOCKDATA, TC_NULL]);
    // The values, from the uppermost class down. Throwable's: no cause, the message, neither a
    // stack trace nor suppressed exceptions.
    bytes.push(TC_NULL);
    string(&mut bytes, text);
    bytes.extend([TC_NULL, TC_NULL, TC_ENDBLOCKDATA]);
    string(&mut bytes, text);
    string(&mut bytes, class);
    bytes.push(TC_NULL);
    bytes
}

fn class_header(bytes: &mut Vec<u8>, name: &str, suid: i64, flags: u8, fields: u16) {
    bytes.push(TC_CLASSDESC);
    utf(bytes, name);
    bytes.extend(suid.to_be_bytes());
    bytes.push(flags);
    bytes.extend(fields.to_be_bytes());
}

fn field(bytes: &mut Vec<u8>, kind: u8, name: &str) {
    bytes.push(kind);
    utf(bytes, name);
}

fn string(bytes: &mut Vec<u8>, text: &str) {
    bytes.push(TC_STRING);
    utf(bytes, text);
}

/// The type `String` was written as the second thing in the stream, after the class itself.
fn reference_to_string_type(bytes: &mut Vec<u8>) {
    bytes.push(TC_REFERENCE);
    bytes.extend((BASE_HANDLE + 1).to_be_bytes());
}

/// Java's modified UTF-8 with its length. What it would write otherwise than UTF-8 does (zero and
/// what lies beyond 16 bits) is shown as `?`.
fn utf(bytes: &mut Vec<u8>, text: &str) {
    let plain = |c: char| if c == '\0' || c.len_utf8() > 3 { '?' } else { c };
    let text: String = text.chars().map(plain).collect();
    let length = u16::try_from(text.len()).unwrap_or(u16::MAX);
    bytes.extend(length.to_be_bytes());
    bytes.extend(&text.as_bytes()[..usize::from(length)]);
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_object_is_laid_out_as_java_writes_it() {
        let bytes = serialized_throwable("a.B", "a.B: no\0 \u{1f600}");
        let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        // Class names with their serial version UIDs, flags and numbers of fields.
        let throwable = "72001 36a6176612e6c616e672e5468726f7761626c65d5c635273977b8cb030004";
        let exception = "7200136a6176612e6c616e672e457863657074696f6ed0fd1f3e1a3b1cc402000078";
        assert!(hex.contains(&throwable.replace(' ', "")), "{hex}");
        assert!(hex.contains(exception), "{hex}");
        assert!(hex.starts_with("aced00057372002 96f7267".replace(' ', "").as_str()), "{hex}");
        let values = "7870".to_owned()
            + "7074000a612e423a206e6f3f203f"
            + "707078"
            + "74000a612e423a206e6f3f203f"
            + "740003612e42"
            + "70";
        assert!(hex.ends_with(&values), "{hex}");
    }

    #[test]
    fn a_long_text_is_cut() {
        let cause = failure_cause("a.B", &"\u{20ac}".repeat(100_000));
        assert_eq!(cause["stack-trace"].as_str().unwrap().chars().count(), TEXT_MAX + 5);
        assert!(STANDARD.decode(cause["serialized-throwable"].as_str().unwrap()).is_ok());
    }
}
