//! To come.
pub(crate) async fn plays_neighbour(_world: &crate::kit::World, _role: &crate::kit::process::Role) {}
