//! A proxy before an S3 server, on the loopback, that disturbs requests as it is told.

use std::io::{Read, Write};
use std::net::{Shutdown, TcpListener, TcpStream};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use crate::http::{Request, error_answer};

/// What becomes of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// It is passed on, and so is the answer.
    Forward,
    /// It isn't passed on; the answer is an error with this status.
    Status(u16),
    /// It is passed on, and the answer comes after this time.
    Slowly(Duration),
    /// It isn't passed on, and no answer comes.
    Silent,
    /// It isn't passed on; the connection is closed.
    Close,
    /// It is passed on and done; instead of the answer the connection is closed.
    DropAnswer,
    /// It is passed on and done; the answer ends in the middle of its content.
    CutAnswer,
    /// It is passed on; after this time both connections are closed, whatever the server is doing.
    CutOff(Duration),
}

/// What decides on each request.
type Plan = Box<dyn FnMut(&Request) -> Fault + Send>;

struct Shared {
    server: String,
    plan: Mutex<Plan>,
    /// Connections that are open, to be closed at the end.
    open: Mutex<Vec<TcpStream>>,
    stopped: Mutex<bool>,
    stop: Condvar,
    /// Requests that weren't simply forwarded, and what became of them.
    disturbed: Mutex<Vec<(Fault, String)>>,
}

/// A running proxy. Dropped, it ends, and its connections with it.
pub struct FaultProxy {
    shared: Arc<Shared>,
    port: u16,
    listener: Option<JoinHandle<()>>,
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl FaultProxy {
    /// A proxy before the server at this host and port, that forwards everything.
    ///
    /// # Panics
    /// There is no free port.
    pub fn start(server: &str) -> FaultProxy {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
        let port = listener.local_addr().expect("it has an address").port();
        let shared = Arc::new(Shared {
            server: server.to_owned(),
            plan: Mutex::new(Box::new(|_| Fault::Forward)),
            open: Mutex::default(),
            stopped: Mutex::default(),
            stop: Condvar::new(),
            disturbed: Mutex::default(),
        });
        let of_thread = shared.clone();
        let run = move || {
            for stream in listener.incoming() {
                if *lock(&of_thread.stopped) {
                    return;
                }
                let Ok(stream) = stream else { continue };
                let of_request = of_thread.clone();
                // A connection that can't be served is one that broke.
                let _ = thread::Builder::new()
                    .name("proxied".to_owned())
                    .spawn(move || of_request.serve(&stream));
            }
        };
        let listener = thread::Builder::new().name("proxy".to_owned()).spawn(run);
        FaultProxy { shared, port, listener: Some(listener.expect("a thread can be started")) }
    }

    /// Where it is reached, as `s3.endpoint` wants it.
    pub fn endpoint(&self) -> String {
        format!("http://127.0.0.1:{}", self.port)
    }

    /// From now on each request becomes what the plan says.
    pub fn disturb(&self, plan: impl FnMut(&Request) -> Fault + Send + 'static) {
        *lock(&self.shared.plan) = Box::new(plan);
    }

    /// From now on everything is forwarded.
    pub fn heal(&self) {
        self.disturb(|_| Fault::Forward);
    }

    /// Takes out the requests that were disturbed: the fault, the method, path and query.
    pub fn take_disturbed(&self) -> Vec<(Fault, String)> {
        std::mem::take(&mut *lock(&self.shared.disturbed))
    }
}

impl Drop for FaultProxy {
    fn drop(&mut self) {
        *lock(&self.shared.stopped) = true;
        self.shared.stop.notify_all();
        for stream in lock(&self.shared.open).drain(..) {
            let _ = stream.shutdown(Shutdown::Both);
        }
        // Wakes the listener.
        drop(TcpStream::connect(("127.0.0.1", self.port)));
        if let Some(listener) = self.listener.take() {
            let _ = listener.join();
        }
    }
}

impl std::fmt::Debug for FaultProxy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "FaultProxy({} -> {})", self.endpoint(), self.shared.server)
    }
}

impl Shared {
    /// One request of a connection; then it is closed.
    fn serve(&self, stream: &TcpStream) {
        if let Ok(stream) = stream.try_clone() {
            let mut open = lock(&self.open);
            // Those that have ended have no peer any more.
            open.retain(|stream| stream.peer_addr().is_ok());
            open.push(stream);
        }
        if let Ok(Some(request)) = Request::read(stream) {
            let fault = (lock(&self.plan))(&request);
            if fault != Fault::Forward {
                let what = format!("{} {}", request.method, request.target);
                lock(&self.disturbed).push((fault, what));
            }
            // An answer that can't be given is one that broke.
            let _ = self.answer(stream, &request, fault);
        }
        let _ = stream.shutdown(Shutdown::Both);
    }

    fn answer(
        &self,
        mut stream: &TcpStream,
        request: &Request,
        fault: Fault,
    ) -> std::io::Result<()> {
        match fault {
            Fault::Forward => stream.write_all(&request.forward(&self.server)?),
            Fault::Status(status) => stream.write_all(&error_answer(status)),
            Fault::Slowly(time) => {
                let answer = request.forward(&self.server)?;
                self.wait(time);
                stream.write_all(&answer)
            }
            Fault::Silent => {
                // Until the client has had enough, or the proxy ends.
                let mut nothing = [0; 64];
                while stream.read(&mut nothing)? > 0 {}
                Ok(())
            }
            Fault::Close => Ok(()),
            Fault::DropAnswer => request.forward(&self.server).map(drop),
            Fault::CutAnswer => {
                let answer = request.forward(&self.server)?;
                stream.write_all(&answer[..answer.len() - answer.len() / 3 - 1])
            }
            Fault::CutOff(time) => {
                let server = request.send(&self.server)?;
                self.wait(time);
                server.shutdown(Shutdown::Both)
            }
        }
    }

    /// Waits, at most until the proxy ends.
    fn wait(&self, time: Duration) {
        let stopped = lock(&self.stopped);
        drop(self.stop.wait_timeout_while(stopped, time, |stopped| !*stopped));
    }
}
