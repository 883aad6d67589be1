// Shows every time in the zone of the phone, and how long ago it was where that matters. Without this script the page
// shows UTC.
"use strict";
(() => {
  const language = navigator.language.startsWith("en") ? navigator.language : "en-GB";
  const parts = { day: "numeric", month: "short", hour: "2-digit", minute: "2-digit", timeZoneName: "short" };
  const thisYear = new Intl.DateTimeFormat(language, parts);
  const anyYear = new Intl.DateTimeFormat(language, { ...parts, year: "numeric" });

  function ago(seconds) {
    if (seconds < 60) return "just now";
    if (seconds < 3600) return `${Math.floor(seconds / 60)} min ago`;
    if (seconds < 48 * 3600) return `${Math.floor(seconds / 3600)} h ago`;
    return `${Math.floor(seconds / 86400)} days ago`;
  }

  function show() {
    const now = new Date();
    for (const element of document.querySelectorAll("time[datetime]")) {
      const at = new Date(element.dateTime);
      const words = (at.getFullYear() === now.getFullYear() ? thisYear : anyYear).format(at);
      element.title = element.dateTime;
      element.textContent = element.closest(".age") ? `${words} (${ago((now - at) / 1000)})` : words;
    }
  }

  show();
  setInterval(show, 30000);
  document.addEventListener("visibilitychange", show);
})();
