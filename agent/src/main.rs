use std::process::ExitCode;

fn main() -> ExitCode {
    voltaxe_sentinel::cli::main()
}
