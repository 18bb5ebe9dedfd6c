//! What happens to connections and packets on their way, between this host and the other end of a link, for real.
#![expect(clippy::unwrap_used, reason = "a test fails by panicking")]

mod connections;
#[path = "../../../base/tests/harness/context.rs"]
mod context;
mod link;
#[path = "../../../base/tests/harness/neighbour.rs"]
mod neighbour;
#[path = "../../../base/tests/harness/program.rs"]
mod program;
#[path = "../../../base/tests/harness/told.rs"]
mod told;

use std::process::Command;

use neighbour::Neighbour;
use program::Program;

fn python(arguments: &[&str]) -> Vec<String> {
    let words = ["/usr/bin/python3", "-c"].iter().chain(arguments);
    words.map(|word| (*word).to_owned()).collect()
}

/// A command that runs on.
fn start(command: &[String]) -> Program {
    let (program, arguments) = command.split_first().unwrap();
    Program::start(Command::new(program).args(arguments))
}

/// What a command says.
fn run(command: &[String]) -> String {
    start(command).rest()
}

fn inside(end: &Neighbour, command: &[String]) -> Vec<String> {
    let words: Vec<_> = command.iter().map(String::as_str).collect();
    end.inside(&words)
}

/// Packets that the counters of an end's rules have seen.
fn packets_filtered(end: &Neighbour) -> u64 {
    let text = run(&end.inside(&["nft", "list", "table", "ip", "told"]));
    let mut words = text.split_whitespace().skip_while(|word| *word != "packets");
    words.nth(1).unwrap().parse().unwrap()
}
