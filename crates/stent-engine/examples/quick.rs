//! quick
#![allow(clippy::all, clippy::unwrap_used, clippy::print_stdout)]
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use stent_core::command::Deadline;
use stent_core::store::BoxFuture;
use stent_core::view::FunctionView;
use stent_core::*;
use stent_engine::*;

struct H {
    done: Arc<AtomicUsize>,
    note: Arc<tokio::sync::Notify>,
    steps: usize,
}
impl Host for H {
    fn functions(&self) -> Vec<FunctionView> {
        ["f", "fan", "leaf", "nop"]
            .iter()
            .map(|n| FunctionView { name: Name::stored(n), options: serde_json::Value::Null })
            .collect()
    }
    fn run(&self, ctx: Context) -> BoxFuture<'static, Result<Payload, AttemptError>> {
        let (done, note, steps) = (self.done.clone(), self.note.clone(), self.steps);
        Box::pin(async move {
            let name = ctx.task().spec.function.clone();
            match name.as_str() {
                "f" => {
                    for _ in 0..steps {
                        match ctx.begin_step(&Name::stored("step")).await? {
                            Begun::Run(t) => {
                                ctx.finish_step(t, Verdict::Ok, pay()).await?;
                            }
                            Begun::Recorded(_) => {}
                        }
                    }
                }
                "fan" => {
                    let c: Vec<_> =
                        (0..1000).map(|_| ctx.start_child(&Name::stored("leaf"), spec("leaf"), None).call).collect();
                    for c in c {
                        c.await?;
                    }
                }
                _ => {}
            }
            done.fetch_add(1, Ordering::Relaxed);
            note.notify_one();
            Ok(pay())
        })
    }
}
fn pay() -> Payload {
    Payload::json(&"x".repeat(98)).unwrap()
}
fn spec(f: &str) -> TaskSpec {
    TaskSpec {
        function: Name::stored(f),
        args: pay(),
        queue: Name::stored("default"),
        priority: 0,
        tags: vec![],
        headers: None,
        options: TaskOptions::default(),
    }
}
fn req(f: &str) -> StartRequest {
    StartRequest { id: None, spec: spec(f), key: None, due: None, deadline: Deadline::default() }
}

fn main() {
    let threads: usize = std::env::var("T").ok().map_or(2, |t| t.parse().unwrap());
    let rt = tokio::runtime::Builder::new_multi_thread().worker_threads(threads).enable_all().build().unwrap();
    rt.block_on(async {
        let dir = std::env::args().nth(1).unwrap();
        let _ = std::fs::remove_dir_all(&dir);
        std::fs::create_dir_all(&dir).unwrap();
        let mut k = 0;
        let mut fresh = || {
            k += 1;
            let store = stent_sqlite::SqliteStore::open(&format!("{dir}/q{k}.db"), Default::default()).unwrap();
            Engine::new(Arc::new(store), Arc::new(TokioRuntime::current().unwrap()))
        };
        let host = |steps| Arc::new(H { done: Default::default(), note: Default::default(), steps });
        let cfg = || WorkerConfig { concurrency: 1000, batch: 500, ..Default::default() };
        // W6 batch
        let e = fresh();
        let t = Instant::now();
        for _ in 0..20 {
            e.start_many((0..1000).map(|_| req("f")).collect()).await.unwrap();
        }
        println!("W6 batch {:.0}/s", 20_000.0 / t.elapsed().as_secs_f64());
        let t = Instant::now();
        let js: Vec<_> = (0..64)
            .map(|_| {
                let e = e.clone();
                tokio::spawn(async move {
                    for _ in 0..150 {
                        e.start(req("zz")).await.unwrap();
                    }
                })
            })
            .collect();
        for j in js {
            j.await.unwrap();
        }
        println!("W6 64 {:.0}/s", 9600.0 / t.elapsed().as_secs_f64());
        let t = Instant::now();
        for _ in 0..1000 {
            e.start(req("zz")).await.unwrap();
        }
        println!("W6 one {:.0}/s", 1000.0 / t.elapsed().as_secs_f64());
        // W1
        let h = host(1);
        let t = Instant::now();
        let w = e.start_worker(cfg(), h.clone()).await.unwrap();
        while h.done.load(Ordering::Relaxed) < 20_000 {
            h.note.notified().await;
        }
        println!("W1 {:.0}/s", 20_000.0 / t.elapsed().as_secs_f64());
        w.shutdown().await;
        // W2
        for n in [100usize, 1000] {
            let e = fresh();
            let h = host(100);
            let w = e.start_worker(cfg(), h.clone()).await.unwrap();
            let t = Instant::now();
            e.start_many((0..n).map(|_| req("f")).collect()).await.unwrap();
            while h.done.load(Ordering::Relaxed) < n {
                h.note.notified().await;
            }
            println!("W2 {n} {:.0}/s", n as f64 * 100.0 / t.elapsed().as_secs_f64());
            w.shutdown().await;
        }
        // W3
        let e = fresh();
        let h = host(1000);
        let w = e.start_worker(cfg(), h.clone()).await.unwrap();
        let t = Instant::now();
        let id = e.start(req("f")).await.unwrap().execution;
        e.wait(id, None).await.unwrap();
        println!("W3 {:.3} ms/step", t.elapsed().as_secs_f64());
        // W4
        let mut ms = vec![];
        for _ in 0..200 {
            let t = Instant::now();
            let id = e.start(req("nop")).await.unwrap().execution;
            e.wait(id, None).await.unwrap();
            ms.push(t.elapsed().as_secs_f64() * 1e3);
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        ms.sort_by(f64::total_cmp);
        println!("W4 p50 {:.3} p99 {:.3}", ms[100], ms[197]);
        for _ in 0..3 {
            let t = Instant::now();
            let id = e.start(req("fan")).await.unwrap().execution;
            e.wait(id, None).await.unwrap();
            println!("W5 {:.3} s", t.elapsed().as_secs_f64());
        }
        w.shutdown().await;
    });
}
