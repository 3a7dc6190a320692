//! One request, sent to the leader as it came, and its answer, sent back as it came but for a
//! header that names the leader. Bounded: the request's body is read first, the answer is passed
//! on while it arrives, on a connection of its own that ends with it. Passed on once: a JobManager
//! that gets such a request without leading refuses it, so two that take each other for the leader
//! don't send it to and fro.

use std::io;

use axum::body::{Body, Bytes, to_bytes};
use axum::extract::Request;
use axum::http::header::{self, HeaderMap, HeaderName, HeaderValue};
use axum::http::{Uri, request};
use axum::response::Response;
use http_body_util::Limited;
use hyper::body::Incoming;
use hyper::client::conn::http1;
use hyper_util::rt::TokioIo;
use thalweg_rpc::ByteStream;
use thalweg_tls::{Role, Tls};
use tokio::net::TcpStream;
use tokio::time::timeout;

use super::{KnownLeader, PassingTimes};
use crate::rest::error::RestError;
use crate::rest::router::BODY_BYTES_MAX;

/// In a request that was passed on: who did.
const PASSED_ON_BY: HeaderName = HeaderName::from_static("thalweg-passed-on-by");
/// In an answer that was passed on: whose it is.
const LEADER: HeaderName = HeaderName::from_static("thalweg-leader");
/// No answer is longer; it is cut there, which its reader notices.
const ANSWER_BYTES_MAX: usize = 256 << 20;
/// What is said to the other end of one connection only.
const OF_ONE_CONNECTION: [HeaderName; 8] = [
    header::CONNECTION,
    header::PROXY_AUTHENTICATE,
    header::PROXY_AUTHORIZATION,
    header::TE,
    header::TRAILER,
    header::TRANSFER_ENCODING,
    header::UPGRADE,
    HeaderName::from_static("keep-alive"),
];

/// The leader's answer.
///
/// # Errors
/// Nobody is known to lead, the request was passed on already, it is too large, or the leader can't
/// be reached or doesn't answer: then a command may have been carried out all the same.
pub(super) async fn pass_on(
    request: Request,
    own_address: &str,
    leader: Option<KnownLeader>,
    (times, tls): (PassingTimes, Option<&Tls>),
) -> Result<Response, RestError> {
    let (head, body) = request.into_parts();
    if let Some(by) = head.headers.get(PASSED_ON_BY) {
        return Err(RestError::NotLeading(format!(
            "The JobManager at {own_address} doesn't lead, and {} took it for the one that does: \
             who leads is about to change. Try again in some seconds.",
            String::from_utf8_lossy(by.as_bytes()).chars().take(256).collect::<String>()
        )));
    }
    let Some(leader) = leader else {
        return Err(RestError::NotLeading(format!(
            "No JobManager is known to lead: the one at {own_address} stands by or is starting. \
             Try again in some seconds; if it stays so, see the JobManagers' logs."
        )));
    };
    let Ok(body) = to_bytes(body, BODY_BYTES_MAX).await else {
        return Err(RestError::TooLarge { bytes_max: BODY_BYTES_MAX });
    };
    let address = &leader.rest_address;
    let request = passed_on(head, body, own_address, address)?;
    let stream = connect(address, times, tls).await?;
    let response = match timeout(times.answer, send(request, stream, address)).await {
        Ok(response) => response?,
        Err(_) => return Err(silent(&leader, times)),
    };
    let (mut head, body) = response.into_parts();
    remove_those_of_one_connection(&mut head.headers);
    if let Ok(address) = HeaderValue::from_str(address) {
        head.headers.insert(LEADER, address);
    }
    Ok(Response::from_parts(head, Body::new(Limited::new(body, ANSWER_BYTES_MAX))))
}

/// The request as the leader gets it. The client's `Host` stays: with it the leader tells its own
/// pages, which a browser may have read here, from foreign ones.
fn passed_on(
    mut head: request::Parts,
    body: Bytes,
    own_address: &str,
    address: &str,
) -> Result<Request, RestError> {
    let bad = |error: &dyn std::fmt::Display| RestError::BadRequest(error.to_string());
    remove_those_of_one_connection(&mut head.headers);
    // The body is whole, so its length is known.
    head.headers.remove(header::CONTENT_LENGTH);
    head.headers.remove(header::EXPECT);
    let own = HeaderValue::from_str(own_address).map_err(|error| bad(&error))?;
    head.headers.insert(PASSED_ON_BY, own);
    if !head.headers.contains_key(header::HOST) {
        let host = HeaderValue::from_str(address).map_err(|error| bad(&error))?;
        head.headers.insert(header::HOST, host);
    }
    let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
    head.uri = path.parse::<Uri>().map_err(|error| bad(&error))?;
    head.version = axum::http::Version::HTTP_11;
    Ok(Request::from_parts(head, Body::from(body)))
}

fn remove_those_of_one_connection(headers: &mut HeaderMap) {
    let named: Vec<HeaderName> = headers
        .get_all(header::CONNECTION)
        .iter()
        .filter_map(|value| value.to_str().ok())
        .flat_map(|value| value.split(','))
        .filter_map(|name| name.trim().parse().ok())
        .collect();
    for name in OF_ONE_CONNECTION.iter().chain(&named) {
        headers.remove(name);
    }
}

async fn connect(
    address: &str,
    times: PassingTimes,
    tls: Option<&Tls>,
) -> Result<Box<dyn ByteStream>, RestError> {
    let unreachable = |reason: String| {
        RestError::NotLeading(format!(
            "The JobManager at {address}, which leads as far as is known, can't be reached: \
             {reason}. If it is gone another one takes over soon: try again in some seconds. If \
             it runs, its rest.bind-host and rest.address must let the others reach it."
        ))
    };
    let connect = async {
        let stream = TcpStream::connect(address).await?;
        // Fails only for a connection that is gone already; the request will tell.
        let _ = stream.set_nodelay(true);
        Ok(match tls {
            None => Box::new(stream) as Box<dyn ByteStream>,
            Some(tls) => Box::new(tls.connect(stream, &[Role::JobManager]).await?),
        })
    };
    timeout(times.connect, connect)
        .await
        .map_err(|_| unreachable(format!("no connection within {:?}", times.connect)))?
        .map_err(|error: io::Error| unreachable(error.to_string()))
}

async fn send(
    request: Request,
    stream: Box<dyn ByteStream>,
    address: &str,
) -> Result<Response<Incoming>, RestError> {
    let ended = |error: hyper::Error| {
        RestError::NotLeading(format!(
            "The JobManager at {address}, which leads as far as is known, has ended the \
             connection without an answer: {error}. A command may have been carried out; look, or \
             repeat it under the same triggerId."
        ))
    };
    let (mut sender, connection) = http1::handshake(TokioIo::new(stream)).await.map_err(ended)?;
    // Ends with the answer's last byte, or when nobody wants the answer any more.
    tokio::spawn(async move {
        if let Err(error) = connection.await {
            tracing::debug!("a connection to the leader's REST has ended: {error}");
        }
    });
    sender.send_request(request).await.map_err(ended)
}

fn silent(leader: &KnownLeader, times: PassingTimes) -> RestError {
    RestError::LeaderSilent(format!(
        "The JobManager at {}, which leads in epoch {} as far as is known, hasn't answered within \
         {:?}. A command may have been carried out; look, or repeat it under the same triggerId.",
        leader.rest_address, leader.epoch.0, times.answer
    ))
}
