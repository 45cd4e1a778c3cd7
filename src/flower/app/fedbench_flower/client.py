"""The ClientApp: it brings frames to the `fedbench worker` of its node, and back. A node's configuration names the worker's socket
(`worker`) and, if it asks for one, a file with its token (`token`)."""

from flwr.app import Context, Message
from flwr.clientapp import ClientApp

from . import records
from .line import PROTOCOL, Line, LineError, token_of

# A worker says every second that it is busy.
PATIENCE = 60.0

app = ClientApp()


def _line(context: Context) -> Line:
    config = context.node_config
    return Line(str(config["worker"]), PATIENCE, token_of(str(config.get("token", ""))))


@app.query("who")
def who(message: Message, context: Context) -> Message:
    """Says what the worker says of itself."""
    try:
        with _line(context) as line:
            said, _ = records.unpack(message.content)
            line.say({"ask": "who", "protocol": PROTOCOL, "run": said["run"], "attempt": said["attempt"]})
            answer = records.pack({"say": "who"}, [line.frame()])
    except (OSError, ValueError, LineError) as error:
        answer = records.pack({"say": "lost", "why": f"its worker: {error}"}, [])
    return Message(answer, reply_to=message)


def _work(message: Message, context: Context) -> Message:
    said, orders = records.unpack(message.content)
    try:
        with _line(context) as line:
            line.say({"ask": "work", "protocol": PROTOCOL, "run": said["run"], "attempt": said["attempt"], "orders": len(orders)})
            for order in orders:
                line.send(order)
            answer = line.hear()
            replies = [line.frame() for _ in range(answer.get("replies", 0))]
    except (OSError, ValueError, LineError) as error:
        answer, replies = {"say": "lost", "why": f"its worker: {error}"}, []
    return Message(records.pack(answer, replies), reply_to=message)


@app.train("orders")
def train(message: Message, context: Context) -> Message:
    """Has the worker carry out orders to train."""
    return _work(message, context)


@app.query("orders")
def ask(message: Message, context: Context) -> Message:
    """Has the worker carry out orders to judge, or to give adapters away."""
    return _work(message, context)
