//! Ctrl-C: what is kept, and how to go on, is said before the program ends.

use std::path::{Path, PathBuf};
use std::sync::{Mutex, Once, PoisonError};

use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use crate::output::note;

/// The run that is under way, and where it stands.
struct Under {
    run: PathBuf,
    after: usize,
    rounds: usize,
}

static UNDER_WAY: Mutex<Option<Under>> = Mutex::new(None);

fn under_way(change: impl FnOnce(&mut Option<Under>)) {
    change(&mut UNDER_WAY.lock().unwrap_or_else(PoisonError::into_inner));
}

/// A run goes on in this folder after so many of its rounds. From the first one on, an interrupt ends the program with a word on what is
/// kept. Nothing has to be put in order: files are written aside.
pub fn at(run: &Path, after: usize, rounds: usize) {
    static LISTENS: Once = Once::new();
    LISTENS.call_once(listen);
    under_way(|under| *under = Some(Under { run: run.into(), after, rounds }));
}

/// It has done so many of its rounds.
pub fn after(round: usize) {
    under_way(|under| under.iter_mut().for_each(|under| under.after = round));
}

/// It is over.
pub fn over() {
    under_way(|under| *under = None);
}

fn listen() {
    // Without the listener an interrupt ends the program as it always does.
    let Ok(mut signals) = Signals::new([SIGINT, SIGTERM]) else { return };
    std::thread::spawn(move || {
        if let Some(signal) = signals.forever().next() {
            if let Ok(guard) = UNDER_WAY.try_lock() {
                guard.iter().for_each(|under| note(&said(under)));
            }
            std::process::exit(128 + signal);
        }
    });
}

fn said(under: &Under) -> String {
    let (folder, rounds) = (under.run.display(), under.rounds);
    match under.after {
        0 => format!("interrupted in the first round; the same command begins it again: {folder}"),
        after if after == rounds => format!("interrupted after the last round; the same command judges and writes it: {folder}"),
        after => format!("interrupted: {after} of {rounds} rounds are kept, and the same command goes on from there: {folder}"),
    }
}
