//! What changes something, or is refused because it would.

use std::pin::Pin;

use axum::body::{Body, HttpBody};
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use axum::response::Response;

use super::answer::{Answer, Gateway, Params, request, respond};
use crate::rest::error::RestError;
use crate::rest::request::{RestRequest, bad_parameter};

/// How much of a refused body is read, so that its sender gets to read the refusal.
const DRAINED_BYTES_MAX: usize = 64 << 20;

/// `PATCH /jobs/:jobid`.
pub(super) async fn cancel(State(gateway): State<Gateway>, params: Params, uri: Uri) -> Response {
    let accepted = async {
        let request = request(gateway, params, &uri)?;
        let job_id = request.job_id()?;
        match request.query_value("mode").unwrap_or("cancel") {
            mode if mode.eq_ignore_ascii_case("cancel") => {}
            mode if mode.eq_ignore_ascii_case("stop") => {
                return Err(RestError::Gone(
                    "The termination mode \"stop\" has been removed. For an ungraceful shutdown, \
                     please use \"cancel\" instead. For a graceful shutdown, please use \
                     \"jobs/:jobId/stop\" instead.",
                ));
            }
            mode => return Err(bad_parameter("query", "mode", mode)),
        }
        request.gateway.cancel(&job_id).await?;
        Ok(b"{}".to_vec())
    };
    respond(StatusCode::ACCEPTED, accepted.await)
}

/// `GET /jobs/:jobid/yarn-cancel`, which the cancel button of Flink's page calls.
pub(super) fn refuse_cancel_by_get(_: &RestRequest) -> Answer {
    Err(RestError::ChangesByGet {
        explanation: "A GET must not change anything: any page that a browser shows could send \
                      it. Cancel the job by PATCH /jobs/:jobid?mode=cancel.",
    })
}

/// `DELETE /cluster`.
pub(super) async fn shut_down(State(gateway): State<Gateway>) -> Response {
    let accepted = gateway.shut_down().await.map(|()| b"{}".to_vec());
    respond(StatusCode::ACCEPTED, accepted.map_err(RestError::from))
}

/// `POST /jobs`.
pub(super) async fn submit(body: Body) -> Response {
    drain(body).await;
    respond(
        StatusCode::OK,
        Err(RestError::NotImplemented(
            "A JobGraph that a Java client serialised can't run here: it refers to Java classes. \
             A Thalweg application is shipped as its own executable: start it with the argument \
             'jobmanager' (see its README), or without arguments to run it in one process.",
        )),
    )
}

/// Reads and forgets a body. Answering before a client has finished sending would let it see a
/// broken connection in place of the answer.
async fn drain(mut body: Body) {
    let mut read = 0;
    while read < DRAINED_BYTES_MAX {
        let frame = std::future::poll_fn(|context| Pin::new(&mut body).poll_frame(context)).await;
        match frame {
            Some(Ok(frame)) => read += frame.data_ref().map_or(0, |data| data.len()),
            Some(Err(_)) | None => return,
        }
    }
}
