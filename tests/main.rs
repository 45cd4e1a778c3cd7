//! The suite's integration tests: one binary, a module per question.
//!
//! - [`parity`]: do models, adapters, optimizer and merging give what other people's code gives? (`tests/fixtures`)
//! - [`blind`]: what is an answer worth without its picture?
//! - [`lookup`]: what do the training rows' texts alone answer, and what of test rows that stand in them?
//! - [`cached`]: is the same said where keys and values of earlier tokens are kept?
//! - [`captions`]: are words and scores of captions those of other people's code (`tests/fixtures/captions.py`), from a card to a report?
//! - [`columns`]: do cards and rows mean what they say, however they were written?
//! - [`doubts`]: is it said, or refused, where the data make a number mean less than it seems?
//! - [`lengths`]: are logits and gradients transformers' at any length? (`tests/fixtures/lengths.py`)
//! - [`folders`]: are folders that transformers saved read as transformers reads them? (`tests/fixtures/folders.py`)
//! - [`rope`]: do scaled positions turn as transformers turns them? (`tests/fixtures/rope.py`)
//! - [`hostile`]: are damaged files errors, never a panic, a hang or memory without bound? ([`mutate`]: the damage)
//! - [`mixed`]: are clients of several tasks judged each by its own metric, and nothing averaged over unlike units?
//! - [`models`]: is a backbone's folder right or refused: stale, missing, damaged, not finite, too big, twice?
//! - [`efficientnet`]: does the convolutional tower see what PyTorch's sees? (`tests/fixtures/efficientnet.py`)
//! - [`aligned`]: is what `smol` learned added where it belongs, and does its alignment go on where it was stopped?
//! - [`gguf`]: is SmolLM2 in a GGUF file read as transformers reads it? (`tests/fixtures/smol.py`)
//! - [`gradients`]: are all gradients right, and does every adapter tensor get one?
//! - [`choices`]: does every method go with every kind of adapters, or say why not?
//! - [`laws`]: do methods and runs obey the laws of ARCHITECTURE.md? Tables over `baselines::METHODS`, so a new row is tested.
//! - [`runs`]: does a run obey them whole: its order, its counts, its bytes?
//! - [`metrics`]: do the files of runs say what the table of metrics says?
//! - [`engine`]: does it matter where clients are, and what of messages that are lost, damaged or made up?
//! - [`workers`]: does a run with workers come out as one in one process, and what of those of another run, or that make no sense?
//! - [`memories`]: do clients remember what they did, whatever becomes of their hosts and messages?
//! - [`processes`]: the program's workers: the same run, and what of one that is killed?
//! - [`methods`]: is every method, round by round, what PyTorch makes of its definition? (`tests/fixtures/methods.py`)
//! - [`identity`]: what was a number computed on, whatever it is called and wherever it lies?
//! - [`interrupted`]: what becomes of a run that is killed, met by another process, or out of disk?
//! - [`rows`]: is a backbone, or a kind of adapter, one file and one row, from outside too?
//! - [`rundir`]: is a run folder that was damaged, changed or led astray ever taken for what it was?
//! - [`printed`]: what of results that cannot be written, and of names that are commands to a terminal?
//! - [`planted`]: does the gate see regressions that were planted, and none where there is none?
//! - [`by_class`]: does a backbone that answers by class learn and answer with each client's own classes?
//! - [`vilt`]: does an encoder that answers by class see, and learn, what it does in transformers? (`tests/fixtures/vilt.py`)
//! - [`vqa`]: are soft scores those of the official evaluation? (`tests/fixtures/vqa.py`)
//! - [`kept`]: do `compare`, `reproduce` and `report` say what kept runs say?
//! - [`packs`]: is a pack what the runs were that it was made from, and is a damaged one ever taken for it?
//! - [`kinds`]: are biases, norms and prompts what they stand for?
//! - [`left_out`]: what does a client remember of a round that is left out?
//! - [`tune`]: is a search blind to the test split, of one size for all, and no dearer than it says?
//! - [`exports`]: do the packages that exports are for open them? (`tests/exports.py`)
//! - [`feddat`]: does FedDAT keep its two adapters apart?
//! - [`resume`]: does a run that goes on from a checkpoint come out as one that was never interrupted?
//! - [`reality`]: what of clients that break, drop out, are slow, or hold other datasets than their neighbours?
//! - [`privacy`]: is noise what it is said to be, and epsilon what SciPy makes of it? (`tests/fixtures/privacy.py`)
//! - [`scoring`]: is a score a number, of all options, by the adapters that were named; are counts and numbers within limits?
//! - [`slurm`]: is a suite the same in jobs of Slurm, and is it known what is missing? (`tests/slurm.sh`: on a real one)
//! - [`first_minutes`]: does a newcomer find what there is, and is it said what a file is that was given in another's place?
//! - [`floors`]: does every crate see only what lies below it, and do no files of one import each other in a circle?
//! - [`hflb`]: do the archives of FedDAT's federation become one?
//! - [`hub`]: does the Hub's client keep what is whole and nothing else, whatever a server does? (`hub_site`: such a server)
//! - [`hub_hostile`]: what of servers that keep it waiting, listings that mean harm, and caches that others wrote to?
//! - [`own_data`]: does a person's own data become a dataset that runs, or is it said what is in the way?
//! - [`newcomer`]: from one's own table and pictures to a report, in at most ten commands, and five minutes? (`tests/newcomer.sh`)
//! - [`own_tasks`]: is a task one file and one row, from outside too?
//! - [`own_heads`]: is a trained head each client's own, or the federation's, whatever the method and wherever clients are?
//! - [`split`]: does it matter where the decoder is, and what of decoders and callers that break, lie or mean harm?
//! - [`outputs`]: are datasets and weights whole or not there, and is it known before the work whether they can be written?

mod aligned;
mod blind;
mod by_class;
mod cached;
mod captions;
mod choices;
mod cli;
mod columns;
mod doubts;
mod efficientnet;
mod engine;
mod exports;
mod feddat;
mod first_minutes;
mod floors;
mod folders;
mod gguf;
mod gradients;
mod hflb;
mod hostile;
mod hub;
mod hub_hostile;
mod hub_site;
mod identity;
mod interrupted;
mod kept;
mod kinds;
mod laws;
mod left_out;
mod lengths;
mod lookup;
mod memories;
mod methods;
mod metrics;
mod mixed;
mod models;
mod mutate;
mod newcomer;
mod outputs;
mod own_data;
mod own_heads;
mod own_tasks;
mod packs;
mod parity;
mod planted;
mod printed;
mod privacy;
mod processes;
mod quoted;
mod reality;
mod resume;
mod rope;
mod rows;
mod rundir;
mod runs;
mod scoring;
mod slurm;
mod split;
mod support;
mod tiny;
mod tune;
mod vilt;
mod vqa;
mod workers;
