//! What the benches have in common. They are in `benches/`, the gates of their numbers in `tests/`.

pub mod documents;
pub mod hostile;
