use std::sync::Arc;
use std::sync::mpsc::{Sender, channel};
use std::thread;
use std::time::Duration;

use line::{Caller, Line, Listener};
use models::Backbone;
use rayon::ThreadPool;

use crate::Result;
use crate::message::{self, Say};
use crate::session::Session;

/// The longest question.
const LONGEST: u64 = 1 << 30;

/// Lines at a time: each may keep a forward pass.
const LINES: usize = 256;

/// A caller who says nothing for so long is taken to be gone.
const PATIENCE: Duration = Duration::from_secs(3600);

/// What the loop of callers hears of.
enum Event {
    Called(line::Result<Caller>),
    /// A line has ended.
    Ended(End),
}

/// Serves the decoder of a model to whoever calls, each line in a thread of its own; ends with an error of the listener, or `once`
/// everybody is gone who was let in. It computes on so many `threads` of its own, which nobody who waits for it can hold. `told` hears of
/// callers who were refused and lines that broke.
pub fn serve(backbone: Arc<dyn Backbone>, listener: Listener, threads: usize, once: bool, told: &dyn Fn(&str)) -> Result<()> {
    let pool = Arc::new(machine::threads::pool(threads)?);
    let (events, heard) = channel();
    let calls = events.clone();
    thread::spawn(move || while calls.send(Event::Called(listener.hear())).is_ok() {});
    let (mut open, mut served) = (0, false);
    for event in heard {
        match event {
            Event::Called(caller) if open >= LINES => {
                drop(caller?);
                told(&format!("{LINES} lines are open, and one more caller was sent away"));
            }
            Event::Called(caller) => {
                open += 1;
                let on_line = OnLine(events.clone(), End::default());
                let (caller, backbone, pool) = (caller?, backbone.clone(), pool.clone());
                thread::spawn(move || on_line.serve(caller, &*backbone, &pool));
            }
            Event::Ended(End { accepted, why }) => {
                open -= 1;
                served |= accepted;
                why.iter().for_each(|why| told(why));
                if once && served && open == 0 {
                    break;
                }
            }
        }
    }
    Ok(())
}

/// How a line ended.
#[derive(Default)]
struct End {
    /// Whether its caller was let in.
    accepted: bool,
    /// What went wrong, if anything did.
    why: Option<String>,
}

/// A line's thread; says how it ended, even if it fails.
struct OnLine(Sender<Event>, End);

impl OnLine {
    fn serve(mut self, caller: Caller, backbone: &dyn Backbone, pool: &ThreadPool) {
        match caller.admit() {
            Ok(line) => {
                self.1 = End { accepted: true, why: Some("a caller's question could not be computed".into()) };
                self.1.why = converse(line, backbone, pool).err();
            }
            Err(error) => self.1.why = Some(error.to_string()),
        }
    }
}

impl Drop for OnLine {
    fn drop(&mut self) {
        let _ = self.0.send(Event::Ended(std::mem::take(&mut self.1)));
    }
}

/// Answers until the caller is gone, or asks for what cannot be: the error is what.
fn converse(mut line: Line, backbone: &dyn Backbone, pool: &ThreadPool) -> Result<(), String> {
    let broke = |error: line::Error| error.to_string();
    let mut session = Session::new(backbone);
    line.set_patience(PATIENCE).map_err(broke)?;
    while let Some(question) = line.receive(LONGEST).map_err(broke)? {
        let (say, body) = match pool.install(|| session.answer(&question)) {
            Ok(answer) => answer,
            Err(why) => {
                line.send(&message::frame(&Say::No(why.clone()), &[])).map_err(broke)?;
                return Err(format!("refused {}: {why}", line.peer()));
            }
        };
        line.send(&message::frame(&say, &body)).map_err(broke)?;
    }
    Ok(())
}
