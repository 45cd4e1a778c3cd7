//! Where clients do their work: the seam between the loop of rounds and the machines.

use crate::order::{Order, Reply};
use crate::watch::Watch;
use crate::{Error, Result};

/// Whoever carries out orders. [`crate::Host`] turns an order into a reply; an engine brings the one to the other, in this process or by
/// [`crate::Message`]s to wherever hosts are.
///
/// It holds to this: one reply for each order (one that says that the client is lost, where nothing came back), in whatever order; a
/// client's orders in the order they were given; nothing changed on the way; nothing repeated of what a client has done. It decides how
/// many orders are under way at a time, and no number may depend on that.
pub trait Engine {
    /// How many orders it wants at a time: the server holds so many messages.
    fn wave(&self) -> usize;

    /// Carries out orders to different clients, all of one kind, and says what became of each.
    fn carry_out(&mut self, orders: Vec<Order>, watch: &dyn Watch) -> Result<Vec<Reply>>;
}

/// What became of orders, in the order in which they were given.
pub(crate) fn ask(engine: &mut dyn Engine, orders: Vec<Order>, watch: &dyn Watch) -> Result<Vec<Reply>> {
    let asked: Vec<(usize, usize)> = orders.iter().map(|order| (order.client, order.round.index)).collect();
    let mut replies = engine.carry_out(orders, watch)?;
    replies.sort_by_key(|reply| reply.client);
    let replied: Vec<(usize, usize)> = replies.iter().map(|reply| (reply.client, reply.round)).collect();
    match replied == asked {
        true => Ok(replies),
        false => Err(Error::Engine(format!(
            "replies of {}, and orders went to {}: expected one reply for each",
            shown(&replied),
            shown(&asked)
        ))),
    }
}

/// The first few clients, each with its round.
fn shown(of: &[(usize, usize)]) -> String {
    const SHOWN: usize = 8;
    let named: Vec<String> = of.iter().take(SHOWN).map(|(client, round)| format!("client {client} (round {round})")).collect();
    match of.len().checked_sub(SHOWN).filter(|more| *more > 0) {
        Some(more) => format!("{} and {more} more", named.join(", ")),
        None if of.is_empty() => "nobody".into(),
        None => named.join(", "),
    }
}
