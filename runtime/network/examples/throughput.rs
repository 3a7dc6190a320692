//! How many rows per second an exchange moves: through the hash partitioner on one thread, and
//! over one loopback TCP connection. Prints a table.
//!
//! `cargo run --release -p thalweg-network --example throughput`

use std::error::Error;
use std::sync::Arc;
use std::time::Duration;

use thalweg_core::batch::RowTypeMismatch;
use thalweg_core::clock::{Clock, SystemClock};
use thalweg_core::element::Control;
use thalweg_core::ids::ExecutionAttemptId;
use thalweg_core::{Batch, Columns, RowType};
use thalweg_network::partitioner::{HashPartitioner, RebalancePartitioner};
use thalweg_network::remote::{
    ClientOptions, DataClient, DataServer, ProcessIdentity, ServerOptions, TcpTransport,
};
use thalweg_network::{
    ChannelId, ChannelTarget, GateEvent, GateOptions, InputChannelSpec, InputGate, KeyHasher,
    NetworkEnvironment, NetworkError, PartitionRegistry, Partitioner, RecordWriter,
    RegistryOptions, Waker, WriterOptions,
};

type Row = (u64, u64);

const BATCH_ROWS: usize = 4096;
const LOCAL: &str = "here";

/// Two multiplications: about what hashing an integer key costs.
struct MixHasher;

impl KeyHasher for MixHasher {
    fn hash(&self, batch: &Batch) -> Result<Vec<u64>, RowTypeMismatch> {
        let mix = |key: u64| {
            let x = key.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            (x ^ (x >> 32)).wrapping_mul(0xbf58_476d_1ce4_e5b9)
        };
        Ok(batch.values::<Row>()?.iter().map(|row| mix(row.0)).collect())
    }
}

/// Rows whose keys come in no order, with or without timestamps.
fn template(timestamps: bool) -> (Vec<Row>, Columns) {
    let rows = (0..BATCH_ROWS as u64).map(|n| (n.wrapping_mul(0x2545_f491_4f6c_dd1d) >> 44, n));
    let columns = match timestamps {
        true => Columns::timestamped((0..BATCH_ROWS as i64).collect()),
        false => Columns::default(),
    };
    (rows.collect(), columns)
}

fn channel(producer: u32, consumer: u32) -> ChannelId {
    let attempt = ExecutionAttemptId::new(u128::from(consumer));
    ChannelId { consumer: attempt, edge: 0, producer_subtask: producer, consumer_subtask: consumer }
}

fn gate(
    network: &NetworkEnvironment,
    producers: u32,
    consumer: u32,
    waker: Waker,
) -> Result<InputGate, NetworkError> {
    let spec = |producer| InputChannelSpec {
        id: channel(producer, consumer),
        input: 0,
        row_type: RowType::of::<Row>(),
    };
    let specs: Vec<_> = (0..producers).map(spec).collect();
    network.create_gate(&specs, GateOptions::default(), waker)
}

fn writer(
    network: &NetworkEnvironment,
    partitioner: Partitioner,
    address: &str,
    consumers: u32,
    waker: Waker,
) -> Result<RecordWriter, NetworkError> {
    let target = |consumer| ChannelTarget { address: address.to_owned(), id: channel(0, consumer) };
    let targets: Vec<_> = (0..consumers).map(target).collect();
    let options = WriterOptions::default();
    network.create_writer(RowType::of::<Row>(), partitioner, &targets, options, waker)
}

fn unpark() -> Waker {
    let thread = std::thread::current();
    Arc::new(move || thread.unpark())
}

fn print(what: &str, rows: usize, took: Duration) {
    println!("{what:<58} {:>8.1} M rows/s", rows as f64 / took.as_secs_f64() / 1e6);
}

/// Writer and gates on one thread: all that an exchange costs within a process.
fn scatter(hash: bool, consumers: u32, timestamps: bool) -> Result<(), Box<dyn Error>> {
    let registry = PartitionRegistry::new(RegistryOptions::default());
    let network = NetworkEnvironment::new(LOCAL, registry, None);
    let gates = (0..consumers).map(|consumer| gate(&network, 1, consumer, unpark()));
    let mut gates = gates.collect::<Result<Vec<_>, _>>()?;
    let partitioner = match hash {
        true => Partitioner::Hash(HashPartitioner::new(Box::new(MixHasher), 128, consumers)),
        false => Partitioner::Rebalance(RebalancePartitioner::new(0)),
    };
    let mut writer = writer(&network, partitioner, LOCAL, consumers, unpark())?;
    let (rows, columns) = template(timestamps);
    let (clock, batches, mut received) = (SystemClock::new(), 8_000, 0);
    for _ in 0..batches {
        writer.write(Batch::new(rows.clone(), columns.clone()), Duration::ZERO)?;
        if !writer.is_available() {
            for gate in &mut gates {
                while let GateEvent::Batch { batch, .. } = gate.poll(Duration::ZERO)? {
                    received += batch.len();
                }
            }
        }
    }
    let took = clock.elapsed();
    let strategy = if hash { "hash" } else { "rebalance" };
    let shape = if timestamps { "16-byte rows + timestamp" } else { "16-byte rows" };
    print(&format!("{strategy}, {consumers} channels, one thread, {shape}"), received, took);
    Ok(())
}

/// One producer thread, one consumer thread, one tokio thread, through the loopback device.
fn tcp(consumers: u32) -> Result<(), Box<dyn Error>> {
    let runtime =
        tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build()?;
    let identity = ProcessIdentity { build: 1, cluster: "throughput".to_owned() };
    let registry = PartitionRegistry::new(RegistryOptions::default());
    let transport = TcpTransport::default();
    let start = DataServer::start(
        &transport,
        "127.0.0.1:0",
        Arc::clone(&registry),
        identity.clone(),
        ServerOptions::default(),
    );
    let server = runtime.block_on(start)?;
    let address = format!("127.0.0.1:{}", server.port());
    let receiver = NetworkEnvironment::new(address.clone(), registry, None);
    let transport = Arc::new(transport);
    let handle = runtime.handle().clone();
    let client = DataClient::new(transport, handle, identity, ClientOptions::default());
    let registry = PartitionRegistry::new(RegistryOptions::default());
    let sender = NetworkEnvironment::new("sender", registry, Some(client));

    let (batches, clock) = (8_000, SystemClock::new());
    std::thread::scope(|scope| {
        let producer = scope.spawn(|| -> Result<(), NetworkError> {
            let hash = HashPartitioner::new(Box::new(MixHasher), 128, consumers);
            let partitioner = Partitioner::Hash(hash);
            let mut writer = writer(&sender, partitioner, &address, consumers, unpark())?;
            let (rows, columns) = template(true);
            for _ in 0..batches {
                while !writer.is_available() {
                    std::thread::park();
                }
                writer.write(Batch::new(rows.clone(), columns.clone()), Duration::ZERO)?;
            }
            writer.write_control(Control::EndOfInput)
        });
        let mut received = 0;
        let gates = (0..consumers).map(|consumer| gate(&receiver, 1, consumer, unpark()));
        let mut gates = gates.collect::<Result<Vec<_>, _>>()?;
        while !gates.is_empty() {
            let mut idle = true;
            let mut index = 0;
            while let Some(gate) = gates.get_mut(index) {
                let event = gate.poll(Duration::ZERO)?;
                idle &= matches!(event, GateEvent::Empty);
                match event {
                    GateEvent::Batch { batch, .. } => received += batch.len(),
                    GateEvent::Empty => index += 1,
                    GateEvent::Finished => drop(gates.remove(index)),
                    _ => {}
                }
            }
            if idle {
                std::thread::park();
            }
        }
        let took = clock.elapsed();
        let what = format!("hash, {consumers} channels, loopback TCP, 16-byte rows + timestamp");
        print(&what, received, took);
        producer.join().unwrap_or(Ok(()))
    })?;
    Ok(())
}

fn main() -> Result<(), Box<dyn Error>> {
    for consumers in [2, 8, 64] {
        scatter(true, consumers, false)?;
        scatter(true, consumers, true)?;
        scatter(false, consumers, false)?;
    }
    for consumers in [1, 2, 8] {
        tcp(consumers)?;
    }
    Ok(())
}
