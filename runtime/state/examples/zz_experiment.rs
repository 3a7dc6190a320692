//! Temporary.
use thalweg_core::key_group::KeyGroupRange;
use thalweg_core::Key;
use thalweg_state::KeyedState;
fn mix(n: u64) -> u64 {
    let n = (n ^ (n >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let n = (n ^ (n >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    n ^ (n >> 31)
}
fn main() {
    let r = KeyGroupRange { start: 0, end: 128 };
    let mut s = KeyedState::<u64>::new(r, 128, None).unwrap();
    let v = s.value_state::<u64>("c").unwrap();
    let keys: Vec<(u64, u64)> = (0..20_000_000u64).map(|n| { let k = ((u128::from(mix(n)) * 500_000) >> 64) as u64; (k, k.key_hash()) }).collect();
    for (k, h) in &keys[..4_000_000] { s.set_current_key(*k, *h); *v.get_or_insert_with(&mut s, || 0).unwrap() += 1; }
    let hashes: Vec<u64> = keys.iter().map(|k| k.1).collect();
    for round in 0..3 {
    for (name, block, ahead) in [("none", 0usize, 0usize), ("16", 16, 0), ("32", 32, 0), ("64", 64, 0), ("128", 128, 0), ("8+1", 8, 1), ("16+1", 16, 1), ("32+1", 32, 1), ("64+1", 64, 1), ("1+16",1,16),("4+4",4,4),("4+8",4,8)] {
        let t = std::time::Instant::now();
        let c0 = cpu();
        for batch in 0..keys.len() / 4096 {
            let ks = &keys[batch * 4096..(batch + 1) * 4096];
            let hs = &hashes[batch * 4096..(batch + 1) * 4096];
            let mut fetched = 0;
            for (i, (k, h)) in ks.iter().enumerate() {
                if block > 0 && i % block == 0 {
                    let to = (i + block * (1 + ahead)).min(hs.len());
                    if to > fetched { s.prefetch(&hs[fetched..to]); fetched = to; }
                }
                s.set_current_key(*k, *h);
                *v.get_or_insert_with(&mut s, || 0).unwrap() += 1;
            }
        }
        let n = (keys.len() / 4096 * 4096) as f64;
        println!("{round} {name:8} wall {:.1} cpu {:.1} ns", t.elapsed().as_secs_f64() * 1e9 / n, (cpu() - c0) * 1e9 / n);
    }}
}
fn cpu() -> f64 {
    let t = std::fs::read_to_string("/proc/self/schedstat").unwrap();
    t.split(' ').next().unwrap().parse::<f64>().unwrap() / 1e9
}
