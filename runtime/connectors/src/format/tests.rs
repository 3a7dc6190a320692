//! Reading texts, whole and in pieces.

use proptest::prelude::*;
use serde::Deserialize;
use thalweg_operators::FunctionResult;
use thalweg_operators::source::{BadRecord, ReadBuffer, ReadStatus};

use super::{CsvHeader, Input, LineFormat, MAX_RECORD_BYTES, Place, RecordReader};

/// What a text gave: rows and the messages of bad records.
type Read<T> = (Vec<T>, Vec<BadRecord>);

/// Reads a text that comes in pieces of `piece` bytes, `max_rows` at a time.
fn read<T>(
    format: &LineFormat<T>,
    text: &[u8],
    piece: usize,
    max_rows: usize,
) -> FunctionResult<Read<T>> {
    let framer = format.framer(Place::default());
    let mut reader = RecordReader::new("text".to_owned(), framer, format.decoder(), false);
    let (mut found, mut left) = (ReadBuffer::default(), text);
    loop {
        let status = reader.read(max_rows, &mut found, |room| {
            let count = piece.min(left.len()).min(room.len());
            room[..count].copy_from_slice(&left[..count]);
            left = &left[count..];
            Ok(if count == 0 { Input::End } else { Input::Bytes(count) })
        })?;
        if status == ReadStatus::End {
            return Ok((found.rows, found.bad));
        }
    }
}

/// Reads the text in pieces of all sizes, which all must give the same.
fn read_in_pieces<T: PartialEq + std::fmt::Debug>(
    format: &LineFormat<T>,
    text: &[u8],
) -> FunctionResult<Read<T>> {
    let whole = read(format, text, usize::MAX, usize::MAX)?;
    for piece in 1..=text.len().min(40) {
        assert_eq!(read(format, text, piece, 1)?, whole, "pieces of {piece}");
    }
    Ok(whole)
}

fn messages(bad: &[BadRecord]) -> Vec<String> {
    bad.iter().map(ToString::to_string).collect()
}

#[derive(Debug, PartialEq, Deserialize)]
struct Payment {
    id: u64,
    amount: i32,
    #[serde(default)]
    place: String,
}

fn payment(id: u64, amount: i32, place: &str) -> Payment {
    Payment { id, amount, place: place.to_owned() }
}

#[test]
fn lines_are_rows_whatever_ends_them() {
    let table: [(&[u8], &[&str]); 6] = [
        (b"", &[]),
        (b"a", &["a"]),
        (b"a\nb\n", &["a", "b"]),
        (b"a\r\n\r\nb", &["a", "", "b"]),
        (b"\xef\xbb\xbfa\n\xef\xbb\xbfb", &["a", "\u{feff}b"]),
        ("ä\n\"x\ny".as_bytes(), &["ä", "\"x", "y"]),
    ];
    for (text, lines) in table {
        let (rows, bad) = read_in_pieces(&LineFormat::lines(), text).unwrap();
        assert_eq!((rows.as_slice(), bad.len()), (lines.map_owned().as_slice(), 0));
    }
    let (rows, bad) = read_in_pieces(&LineFormat::lines(), b"a\nb\xff\nc").unwrap();
    assert_eq!(rows, ["a", "c"]);
    assert_eq!(messages(&bad), ["text, line 2: it isn't UTF-8 from byte 2 on"]);
}

trait MapOwned {
    fn map_owned(&self) -> Vec<String>;
}

impl MapOwned for &[&str] {
    fn map_owned(&self) -> Vec<String> {
        self.iter().map(|text| (*text).to_owned()).collect()
    }
}

#[test]
fn csv_columns_are_matched_to_fields_by_name() {
    let format = LineFormat::csv(CsvHeader::FromInput);
    let text = "\u{feff}place,\"amount\",other,id\r\nRome,-5,x,1\r\n\r\n\"a,\n\"\"b\"\"\",7,,2";
    let (rows, bad) = read_in_pieces::<Payment>(&format, text.as_bytes()).unwrap();
    assert_eq!(rows, [payment(1, -5, "Rome"), payment(2, 7, "a,\n\"b\"")]);
    assert_eq!(bad, []);
}

#[test]
fn csv_without_a_header_goes_by_the_given_names_or_by_position() {
    let given = CsvHeader::Given(["amount", "id"].map(str::to_owned).to_vec());
    let semicolons = LineFormat::csv(given).with_delimiter(b';');
    let (rows, _) = read_in_pieces::<Payment>(&semicolons, b"5;1\n\"6\";2\n").unwrap();
    assert_eq!(rows, [payment(1, 5, ""), payment(2, 6, "")]);

    let by_position = LineFormat::csv(CsvHeader::ByPosition);
    let (rows, bad) = read_in_pieces::<Payment>(&by_position, b"1,5,Rome\n1,5\n1,x,\n").unwrap();
    assert_eq!(rows, [payment(1, 5, "Rome")]);
    assert_eq!(
        messages(&bad),
        [
            "text, line 2: it has 2 fields where 3 are expected",
            "text, line 3, field amount: invalid digit found in string (\"x\")",
        ]
    );
    let tuples = LineFormat::csv(CsvHeader::ByPosition);
    let (rows, bad) = read_in_pieces::<(u8, String)>(&tuples, b"1,a\n256,b\n").unwrap();
    assert_eq!(rows, [(1, "a".to_owned())]);
    let expected = "text, line 2, field 1: number too large to fit in target type (\"256\")";
    assert_eq!(messages(&bad), [expected]);
}

#[test]
fn a_bad_csv_record_is_named_by_line_and_field_and_the_next_one_is_read() {
    let table: [(&[u8], &str); 9] = [
        (b"x,5,a", "line 3, field id: invalid digit found in string (\"x\")"),
        (b"-1,5,a", "line 3, field id: invalid digit found in string (\"-1\")"),
        (b",5,a", "line 3, field id: cannot parse integer from empty string (\"\")"),
        (b"1,5", "line 3: it has 2 fields where 3 are expected"),
        (b"1,5,a,b", "line 3: it has 4 fields where 3 are expected"),
        (b"1,\"5\"x,a", "line 3, field amount: text follows the closing quote"),
        (b"1,\"5,a", "line 3: a quote is opened and never closed"),
        (b"1,5,\xff", "line 3, field place: invalid utf-8"),
        (b"1,99999999999,a", "line 3, field amount: number too large to fit in target type"),
    ];
    for (record, expected) in table {
        let mut text = b"id,amount,place\n7,7,\"x\"\n".to_vec();
        text.extend_from_slice(record);
        text.extend_from_slice(b"\n8,8,y\n9,9,\n");
        let format = LineFormat::csv(CsvHeader::FromInput);
        let (rows, bad) = read_in_pieces::<Payment>(&format, &text).unwrap();
        assert_eq!(rows, [payment(7, 7, "x"), payment(8, 8, "y"), payment(9, 9, "")]);
        let [message] = messages(&bad).try_into().unwrap();
        assert!(message.starts_with(&format!("text, {expected}")), "{message}");
        assert_eq!(bad[0].raw, String::from_utf8_lossy(record));
    }
}

#[test]
fn a_header_that_does_not_fit_fails_and_says_why() {
    let table: [(&[u8], &str); 6] = [
        (b"", "text: it is empty, but its first line must be a header"),
        (b"id,price\n1,2\n", "text: the header has no column \"amount\"; it has id, price."),
        (b"id,amount,id\n", "text: the header has two columns of the name \"id\""),
        (b"id,amo\xffunt\n", "text: the header line isn't UTF-8"),
        (b"id,\"amount\n1,2\n", "text: the header line can't be read: a quote is opened"),
        (b"id,\"amount\"x\n1,2\n", "text: the header line can't be read: text follows"),
    ];
    for (text, expected) in table {
        let format = LineFormat::<Payment>::csv(CsvHeader::FromInput);
        let error = read_in_pieces(&format, text).unwrap_err().to_string();
        assert!(error.starts_with(expected), "{error}");
    }
}

#[derive(Debug, PartialEq, Deserialize)]
struct Event {
    id: u64,
    what: What,
    tags: Vec<String>,
}

#[derive(Debug, PartialEq, Deserialize)]
struct What {
    amount: f64,
}

#[test]
fn a_bad_json_record_is_named_by_line_and_field() {
    let table = [
        (r#"{"id":-1,"what":{"amount":1},"tags":[]}"#, Some("id")),
        (r#"{"id":1,"what":{"amount":"x"},"tags":[]}"#, Some("what.amount")),
        (r#"{"id":1,"what":{"amount":1},"tags":["a\"{",2]}"#, Some("tags")),
        (r#"{"id":1,"what":{"amount":1}}"#, Some("tags")),
        (r#"{"id":1,"what":{"amount":1},"tags":[]"#, Some("tags")),
        (r#"{"id":1,"#, None),
        (r"[1]", None),
        (r"no json", None),
    ];
    for (record, field) in table {
        let good = r#"{"id":1,"what":{"amount":1},"tags":[]}"#;
        let text = format!("{good}\n \n{record}\n{good}\n");
        let (rows, bad) =
            read_in_pieces::<Event>(&LineFormat::json_lines(), text.as_bytes()).unwrap();
        assert_eq!((rows.len(), bad.len()), (2, 1), "{record}");
        assert_eq!((bad[0].line, bad[0].raw.as_str()), (3, record));
        if field.is_some() {
            assert_eq!(bad[0].field.as_deref(), field, "{record}: {}", bad[0]);
        }
        assert!(!bad[0].reason.contains("line 1"), "{}", bad[0]);
    }
}

#[test]
fn a_record_that_is_too_long_is_bad_and_its_bytes_are_not_held() {
    for filler in ["x", "\"x", "x,\"\n"] {
        let long = filler.repeat(3 * MAX_RECORD_BYTES / filler.len());
        let text = format!("before,1\n{long}\nafter,2\n");
        let format = LineFormat::<(String, u8)>::csv(CsvHeader::ByPosition);
        let framer = format.framer(Place::default());
        let mut reader = RecordReader::new("text".to_owned(), framer, format.decoder(), false);
        let (mut found, mut left) = (ReadBuffer::default(), text.as_bytes());
        let mut largest = 0;
        while reader
            .read(10, &mut found, |room| {
                largest = largest.max(room.len());
                let count = left.len().min(room.len());
                room[..count].copy_from_slice(&left[..count]);
                left = &left[count..];
                Ok(if count == 0 { Input::End } else { Input::Bytes(count) })
            })
            .unwrap()
            != ReadStatus::End
        {
            if filler.ends_with('\n') {
                // Every line is a bad record of its own: a few of them tell all.
                break;
            }
        }
        assert_eq!(found.rows[0], ("before".to_owned(), 1));
        assert_eq!(found.bad[0].line, 2);
        assert!(found.bad.iter().all(|bad| bad.raw.len() <= 4096));
        assert!(largest <= 2 * MAX_RECORD_BYTES, "{largest}");
        if !filler.ends_with('\n') {
            assert_eq!(found.rows[1], ("after".to_owned(), 2));
            assert_eq!(found.bad.len(), 1);
        }
    }
}

proptest! {
    #[test]
    fn what_a_csv_writer_writes_is_read_back(
        rows in prop::collection::vec(("[a,\"\n\r é]{0,6}", any::<i64>(), "[ab\"]{0,3}"), 0..12),
        piece in 1usize..50,
    ) {
        let mut writer = csv::WriterBuilder::new().has_headers(false).from_writer(Vec::new());
        for row in &rows {
            writer.serialize(row).unwrap();
        }
        let text = writer.into_inner().unwrap();
        let format = LineFormat::csv(CsvHeader::ByPosition);
        let (read, bad) = read(&format, &text, piece, 3).unwrap();
        prop_assert_eq!((read, bad), (rows, Vec::new()));
    }
}
