//! The same connections on a simulated network: the transport is all that differs.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use futures::future::BoxFuture;
use thalweg_core::ids::Epoch;
use tokio::runtime::Handle;

use crate::message::{Fenced, Notice, TaskManagerMessage, ToJobManager};
use crate::*;

#[derive(Debug)]
struct Turmoil;

impl Transport for Turmoil {
    fn connect(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn ByteStream>>> {
        Box::pin(async move {
            let stream = turmoil::net::TcpStream::connect(address).await?;
            Ok(Box::new(stream) as Box<dyn ByteStream>)
        })
    }

    fn bind(&self, address: String) -> BoxFuture<'static, io::Result<Box<dyn Listener>>> {
        Box::pin(async move {
            let listener = turmoil::net::TcpListener::bind(address).await?;
            Ok(Box::new(Bound(listener)) as Box<dyn Listener>)
        })
    }
}

struct Bound(turmoil::net::TcpListener);

impl Listener for Bound {
    fn local_address(&self) -> io::Result<SocketAddr> {
        self.0.local_addr()
    }

    fn accept(&mut self) -> BoxFuture<'_, io::Result<(Box<dyn ByteStream>, String)>> {
        Box::pin(async move {
            let (stream, peer) = self.0.accept().await?;
            Ok((Box::new(stream) as Box<dyn ByteStream>, peer.to_string()))
        })
    }
}

fn message(sequence: u64) -> ToJobManager {
    let notice = Notice::Goodbye { reason: "x".repeat(1000) };
    let message = TaskManagerMessage::Notice { number: sequence, notice };
    Fenced { epoch: Epoch(1), sequence, message }
}

#[test]
fn links_work_on_a_simulated_network_and_a_partition_only_delays() {
    let identity = Identity { build_id: 7 };
    let mut builder = turmoil::Builder::new();
    builder.simulation_duration(Duration::from_secs(120)).rng_seed(1);
    let mut simulation = builder.build();
    simulation.host("job-manager", move || async move {
        let (sender, mut acceptor) = accept_channel();
        listen(&Turmoil, "0.0.0.0:6123", identity, sender, &Handle::current()).await?;
        let mut link = acceptor.accept().await.unwrap().link;
        for sequence in 1..=50 {
            assert_eq!(link.receiver.receive().await, Ok(message(sequence)));
        }
        assert_eq!(link.receiver.receive().await, Err(LinkError::Closed));
        Ok(())
    });
    simulation.client("task-manager", async move {
        let transport: Arc<dyn Transport> = Arc::new(Turmoil);
        let address = "job-manager:6123".to_owned();
        let connector = Connector::Remote { transport, address, identity };
        let link = connector.connect(&Handle::current()).await?;
        for sequence in 1..=50 {
            link.sender.try_send(message(sequence))?;
            if sequence == 25 {
                turmoil::hold("task-manager", "job-manager");
                tokio::time::sleep(Duration::from_secs(5)).await;
                turmoil::release("task-manager", "job-manager");
            }
        }
        drop(link);
        tokio::time::sleep(Duration::from_secs(5)).await;
        Ok(())
    });
    simulation.run().unwrap();
}
