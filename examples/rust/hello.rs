// The shortest durable program: fifteen lines, no database to set up. It keeps its records in the file `stent.db`.
use durable::{DurableError, Task, TaskContext, TaskResult, async_trait};
struct Hello;
#[async_trait]
impl Task for Hello {
    const NAME: &'static str = "hello";
    type Params = String;
    type Output = String;
    async fn run(name: String, ctx: TaskContext) -> TaskResult<String> {
        ctx.step("greet", || async { Ok(format!("Hello, {name}!")) }).await
    }
}
#[tokio::main]
async fn main() -> Result<(), DurableError> {
    durable::run::<Hello>("world".into()).await.map(|greeting| println!("{greeting}"))
}
