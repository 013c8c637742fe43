//! What holds of every plan, over generated configs and requests. The cases are
//! fixed by their seeds, so a run repeats exactly.

mod configs;
mod dialects;
mod exposures;
mod movement;
mod order;
mod overrides;
mod planned;
mod ramps;
mod requests;
mod shares;
mod traces;
mod units;
