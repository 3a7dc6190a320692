//! As much of HTTP/1.1 as the proxy needs: a request is read whole, and can be passed on.

use std::io::{self, BufRead, BufReader, Read, Write};
use std::net::TcpStream;

/// The longest head of a request.
const HEAD_BYTES_MAX: u64 = 64 << 10;

/// A request as it came.
#[derive(Debug, Clone)]
pub struct Request {
    /// `GET`, `PUT`, ...
    pub method: String,
    /// Path and query, as they came.
    pub target: String,
    head: Vec<String>,
    body: Vec<u8>,
}

impl Request {
    /// Reads a request; none when the connection ends before one.
    pub(crate) fn read(stream: &TcpStream) -> io::Result<Option<Request>> {
        let mut reader = BufReader::new(stream);
        let mut head = Vec::new();
        loop {
            let mut line = String::new();
            if reader.by_ref().take(HEAD_BYTES_MAX).read_line(&mut line)? == 0 {
                return Ok(None);
            }
            let line = line.trim_end().to_owned();
            if line.is_empty() {
                break;
            }
            head.push(line);
        }
        let first = head.first().cloned().unwrap_or_default();
        let mut words = first.split(' ').map(str::to_owned);
        let (method, target) = (words.next(), words.next());
        let (method, target) = (method.unwrap_or_default(), target.unwrap_or_default());
        let mut request = Request { method, target, head, body: Vec::new() };
        assert!(request.header("transfer-encoding").is_none(), "the SDK sends a length: {first}");
        if request.header("expect").is_some_and(|value| value.contains("100")) {
            (&mut &*stream).write_all(b"HTTP/1.1 100 Continue\r\n\r\n")?;
        }
        let length = request.header("content-length").map_or(0, |value| value.parse().unwrap());
        request.body = vec![0; length];
        reader.read_exact(&mut request.body)?;
        Ok(Some(request))
    }

    /// A header's value.
    pub fn header(&self, name: &str) -> Option<&str> {
        let named = |line: &&String| {
            line.split_once(':').is_some_and(|(key, _)| key.trim().eq_ignore_ascii_case(name))
        };
        let line = self.head.iter().skip(1).find(named)?;
        line.split_once(':').map(|(_, value)| value.trim())
    }

    /// Whether it changes something.
    pub fn writes(&self) -> bool {
        self.method != "GET" && self.method != "HEAD"
    }

    /// Passes the request on, and gives the whole answer.
    pub(crate) fn forward(&self, server: &str) -> io::Result<Vec<u8>> {
        let (mut stream, written) = self.write(server)?;
        let mut answer = Vec::new();
        let read = stream.read_to_end(&mut answer);
        match written.and(read.map(drop)) {
            Err(error) if answer.is_empty() => Err(error),
            _ => Ok(answer),
        }
    }

    /// Passes the request on, and leaves the answer where it is.
    pub(crate) fn send(&self, server: &str) -> io::Result<TcpStream> {
        let (stream, written) = self.write(server)?;
        written.map(|()| stream)
    }

    fn write(&self, server: &str) -> io::Result<(TcpStream, io::Result<()>)> {
        let mut stream = TcpStream::connect(server)?;
        let mut head = String::new();
        for line in &self.head {
            let name = line.split(':').next().unwrap_or_default();
            // One request a connection, so that the answer ends with it.
            if !["connection", "expect"].iter().any(|other| name.eq_ignore_ascii_case(other)) {
                head.push_str(line);
                head.push_str("\r\n");
            }
        }
        head.push_str("Connection: close\r\n\r\n");
        stream.write_all(head.as_bytes())?;
        // A server that refuses by the head alone answers, and resets what it doesn't read.
        let written = stream.write_all(&self.body);
        Ok((stream, written))
    }
}

/// An answer of S3 that is an error.
pub(crate) fn error_answer(status: u16) -> Vec<u8> {
    let (reason, code) = match status {
        403 => ("Forbidden", "AccessDenied"),
        409 => ("Conflict", "ConditionalRequestConflict"),
        503 => ("Service Unavailable", "SlowDown"),
        _ => ("Internal Server Error", "InternalError"),
    };
    let body = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<Error><Code>{code}</Code>\
         <Message>the proxy says so</Message></Error>"
    );
    let length = body.len();
    format!(
        "HTTP/1.1 {status} {reason}\r\nContent-Type: application/xml\r\n\
         Content-Length: {length}\r\nConnection: close\r\n\r\n{body}"
    )
    .into_bytes()
}
