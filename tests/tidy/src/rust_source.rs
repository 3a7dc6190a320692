//! Just enough of Rust's syntax to find functions and test code: no parser.

use std::ops::Range;

/// A file's text with comments and the contents of literals blanked, line by line as it was.
#[derive(Debug)]
pub(crate) struct Masked(Vec<char>);

/// A function with a body.
#[derive(Debug, PartialEq)]
pub(crate) struct Function {
    pub(crate) name: String,
    /// Counted from 1.
    pub(crate) line: usize,
    /// From the line of `fn` to that of the closing brace.
    pub(crate) lines: usize,
    pub(crate) in_tests: bool,
}

impl Masked {
    pub(crate) fn new(text: &str) -> Self {
        let source: Vec<char> = text.chars().collect();
        let mut masked = source.clone();
        let mut at = 0;
        while at < source.len() {
            match skip(&source, at) {
                Some(end) => {
                    let end = end.min(source.len());
                    for c in masked.get_mut(at..end).unwrap_or_default() {
                        if *c != '\n' {
                            *c = ' ';
                        }
                    }
                    at = end.max(at + 1);
                }
                None => at = after_word(&source, at),
            }
        }
        Self(masked)
    }

    pub(crate) fn text(&self) -> String {
        self.0.iter().collect()
    }

    /// All functions, in order; `fn` types and declarations without a body aren't any.
    pub(crate) fn functions(&self) -> Vec<Function> {
        let tests = self.test_regions();
        let mut functions = Vec::new();
        let mut at = 0;
        while at < self.0.len() {
            let end = after_word(&self.0, at);
            if self.word(at..end) == "fn" {
                let start = end + self.blanks(end);
                let name = self.word(start..after_word(&self.0, start));
                let named = name.starts_with(|c: char| c.is_alphabetic() || c == '_');
                if let Some(body) = self.body(start).filter(|_| named) {
                    functions.push(Function {
                        name,
                        line: 1 + self.newlines(0..at),
                        lines: 1 + self.newlines(at..body.end),
                        in_tests: tests.iter().any(|region| region.contains(&at)),
                    });
                }
            }
            at = end;
        }
        functions
    }

    /// What `#[cfg(test)]` and `#[test]` stand before.
    fn test_regions(&self) -> Vec<Range<usize>> {
        let text = self.text();
        // Everything is counted in characters.
        let position = |byte| text.get(..byte).unwrap_or_default().chars().count();
        ["#[cfg(test)]", "#[test]"]
            .iter()
            .flat_map(|mark| text.match_indices(mark))
            .map(|(byte, mark)| position(byte)..position(byte + mark.len()))
            .map(|mark| mark.start..self.body(mark.end).map_or(mark.end, |body| body.end))
            .collect()
    }

    /// The braces after `from`, unless a `;` outside of parentheses comes first.
    fn body(&self, from: usize) -> Option<Range<usize>> {
        let mut nested = 0_i32;
        let open = (from..self.0.len()).find(|&at| match self.0.get(at) {
            Some('(' | '[') => {
                nested += 1;
                false
            }
            Some(')' | ']') => {
                nested -= 1;
                false
            }
            Some('{' | ';') => nested == 0,
            _ => false,
        })?;
        if self.0.get(open) == Some(&';') {
            return None;
        }
        let mut depth = 0_i32;
        let close = (open..self.0.len()).find(|&at| {
            match self.0.get(at) {
                Some('{') => depth += 1,
                Some('}') => depth -= 1,
                _ => {}
            }
            depth == 0
        })?;
        Some(open..close + 1)
    }

    fn word(&self, range: Range<usize>) -> String {
        self.0.get(range).unwrap_or_default().iter().collect()
    }

    fn blanks(&self, from: usize) -> usize {
        self.0.iter().skip(from).take_while(|c| c.is_whitespace()).count()
    }

    fn newlines(&self, range: Range<usize>) -> usize {
        self.0.get(range).unwrap_or_default().iter().filter(|c| **c == '\n').count()
    }
}

fn is_word(c: Option<&char>) -> bool {
    c.is_some_and(|c| c.is_alphanumeric() || *c == '_')
}

/// The end of the word at `at`, or the next character.
fn after_word(source: &[char], at: usize) -> usize {
    let length = source.iter().skip(at).take_while(|c| is_word(Some(*c))).count();
    at + length.max(1)
}

/// The end of the comment or literal that begins at `at`, if one does.
fn skip(source: &[char], at: usize) -> Option<usize> {
    let get = |offset: usize| source.get(at + offset);
    match (get(0)?, get(1)) {
        ('/', Some('/')) => Some(at + source.iter().skip(at).take_while(|c| **c != '\n').count()),
        ('/', Some('*')) => Some(after_block_comment(source, at)),
        ('"', _) => Some(after_string(source, at + 1)),
        ('r' | 'b' | 'c', _) => after_prefixed(source, at),
        ('\'', Some('\\')) => {
            let closing = source.iter().skip(at + 3).take_while(|c| **c != '\'').count();
            Some(at + closing + 4)
        }
        // Else it is a lifetime.
        ('\'', Some(_)) if get(2) == Some(&'\'') => Some(at + 3),
        _ => None,
    }
}

fn after_block_comment(source: &[char], at: usize) -> usize {
    let (mut depth, mut next) = (0_usize, at);
    while next < source.len() {
        match (source.get(next), source.get(next + 1)) {
            (Some('/'), Some('*')) => (depth, next) = (depth + 1, next + 2),
            (Some('*'), Some('/')) => (depth, next) = (depth - 1, next + 2),
            _ => next += 1,
        }
        if depth == 0 {
            break;
        }
    }
    next
}

fn after_string(source: &[char], first: usize) -> usize {
    let mut next = first;
    while let Some(c) = source.get(next) {
        match c {
            '\\' => next += 2,
            '"' => return next + 1,
            _ => next += 1,
        }
    }
    next
}

/// A literal with a prefix: `r"..."`, `br#"..."#`, `b"..."`, `b'x'`; `None` if this is a word.
fn after_prefixed(source: &[char], at: usize) -> Option<usize> {
    let prefix = source.iter().skip(at).take_while(|c| is_word(Some(*c))).count();
    let word: String = source.get(at..at + prefix)?.iter().collect();
    let hashes = source.iter().skip(at + prefix).take_while(|c| **c == '#').count();
    let quote = at + prefix + hashes;
    match (word.as_str(), source.get(quote)) {
        ("r" | "br" | "cr", Some('"')) => {
            let ends = |end: usize| {
                source.get(end) == Some(&'"')
                    && (1..=hashes).all(|offset| source.get(end + offset) == Some(&'#'))
            };
            let end = (quote + 1..source.len()).find(|&end| ends(end)).unwrap_or(source.len());
            Some(end + hashes + 1)
        }
        ("b" | "c", Some('"')) if hashes == 0 => Some(after_string(source, quote + 1)),
        ("b", Some('\'')) if hashes == 0 => skip(source, quote),
        _ => None,
    }
}

#[test]
fn functions_are_found_whatever_literals_and_comments_hold() {
    let source = r##"
// fn in_a_comment() {}
/* /* fn nested() { */ } */
fn one<'a>(x: &'a [u8; 3]) -> char { let y = "}"; '}' }
trait T { fn declared(&self); fn given(&self) {
    r#"raw " } fn no() {"#; b'{'; b"\"{"; '\'';
} }
type F = fn(u8) -> u8;
#[cfg(test)]
mod tests {
    fn helper() {
        if true {}

    }
}
#[test]
fn two() {}
fn after() {}
"##;
    let found: Vec<_> = Masked::new(source)
        .functions()
        .into_iter()
        .map(|f| (f.name, f.line, f.lines, f.in_tests))
        .collect();
    let expected = [
        ("one", 4, 1, false),
        ("given", 5, 3, false),
        ("helper", 11, 4, true),
        ("two", 17, 1, true),
        ("after", 18, 1, false),
    ];
    let expected = expected.map(|(name, line, lines, test)| (name.to_string(), line, lines, test));
    assert_eq!(found, expected);
}
