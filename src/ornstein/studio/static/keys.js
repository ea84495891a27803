// Ctrl+Enter does what the open tab is for, Escape stops it, Alt+1 ... Alt+9 open a tab, Alt+D throws the dice.
(() => {
  const visible = (e) => e.offsetParent !== null;
  const press = (kind) => {
    const found = [...document.querySelectorAll(kind)].map((e) => (e.tagName === "BUTTON" ? e : e.querySelector("button")));
    const button = found.find((e) => e && visible(e) && !e.disabled);
    if (button) button.click();
    return Boolean(button);
  };
  document.addEventListener("keydown", (event) => {
    let done = false;
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey)) done = press(".o-go");
    else if (event.key === "Escape") done = press(".o-stop");
    else if (event.altKey && event.key.toLowerCase() === "d") done = press(".o-dice");
    else if (event.altKey && /^[1-9]$/.test(event.key)) {
      const tabs = [...document.querySelectorAll("#o-tabs button[role=tab]")].filter(visible);
      const tab = tabs[Number(event.key) - 1];
      if (tab) { tab.click(); tab.focus(); done = true; }
    }
    if (done) event.preventDefault();
  });
  const stored = localStorage.getItem("ornstein-theme");
  const apply = (dark) => document.body.classList.toggle("dark", dark);
  if (stored) {
    const wait = setInterval(() => {
      if (document.querySelector("#o-tabs")) { apply(stored === "dark"); clearInterval(wait); }
    }, 30);
  }
  window.ornsteinTheme = () => {
    const dark = !document.body.classList.contains("dark");
    apply(dark);
    localStorage.setItem("ornstein-theme", dark ? "dark" : "light");
  };
})();
