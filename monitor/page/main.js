// The page: what is known (store), where it comes from (connection), and who shows it.

import { showCards } from "./cards.js";
import { Connection } from "./connection.js";
import { Control } from "./control.js";
import { showCurves } from "./curves.js";
import { byId } from "./dom.js";
import { Drive } from "./drive.js";
import { showHeader } from "./header.js";
import { showHealth } from "./health.js";
import { showMachine } from "./machine.js";
import { TrackMap } from "./map.js";
import { Cameras } from "./pictures.js";
import { token } from "./requests.js";
import { Store } from "./store.js";
import { showTables } from "./tables.js";
import { bindTheme } from "./theme.js";
import { Watch } from "./watch.js";

const store = new Store();
const cameras = new Cameras();
let connection = null;
const send = (message) => connection?.send(message) ?? false;
const unlock = () => store.hello?.control?.token && token() && send({ token: token() });

bindTheme(byId("theme"));
const watch = new Watch(send);
const control = new Control(store, unlock);
const drive = new Drive(store, cameras, watch, send);
showHealth(store);
showHeader(store);
new TrackMap(store);
showCards(store, cameras, watch, {
  select: (car) => store.select(car),
  drive: (car) => drive.start(car),
  film: (car) => control.film(car),
  cut: () => control.cut(),
});
showCurves(store);
showMachine(store);
showTables(store, (process) => control.restart(process));

store.on("hello", () => {
  unlock();
  watch.again();
});

// Until somebody chooses, the line of the car that is scored is shown.
let begun = false;
store.on("box", () => {
  const cars = store.run?.cars ?? [];
  if (begun || !cars.length) return;
  begun = true;
  store.select((cars.find(({ role }) => role === "evaluator") ?? cars[0]).name);
});

connection = new Connection(socketAddress(), {
  message: (message) => store.take(message),
  picture: (picture) => cameras.take(picture),
  state: (state, why) => {
    if (why === "not the token") control.forgetToken(); // or it would be sent, and refused, again and again
    store.setConnection(state, why);
  },
});

/** Beside this page, for the same run. */
function socketAddress() {
  const address = new URL("ws", document.baseURI);
  address.protocol = address.protocol === "https:" ? "wss:" : "ws:";
  const run = new URLSearchParams(location.search).get("run");
  if (run) address.searchParams.set("run", run);
  return address;
}
