import { render } from "preact";
import "./style.css";

render(<main>Blackbox</main>, document.getElementById("page")!);
