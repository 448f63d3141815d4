"use strict";
// One player per figure with a trajectory: drag to turn, double click to see it from above again.
function player(figure) {
  const movie = JSON.parse(figure.dataset.movie);
  const n = movie.symbols.length;
  const positions = new Int16Array(Uint8Array.from(atob(movie.positions), (c) => c.charCodeAt(0)).buffer);
  const [canvas, button, slider, text] = ["canvas", "button", "input", "output"].map((tag) => figure.querySelector(tag));
  const pen = canvas.getContext("2d");
  const ratio = window.devicePixelRatio || 1;
  const scale = Math.min(canvas.width / movie.width_A, canvas.height / movie.height_A);
  const middle = [canvas.width / 2, canvas.height / 2];
  slider.max = movie.times_fs.length - 1;
  canvas.style.width = canvas.width + "px";
  canvas.width *= ratio;
  canvas.height *= ratio;
  let yaw = 0, pitch = 0, timer = null;

  function points(frame) {
    const [cy, sy, cp, sp] = [Math.cos(yaw), Math.sin(yaw), Math.cos(pitch), Math.sin(pitch)];
    const found = [];
    for (let k = 0; k < n; k++) {
      const [x, y, z] = [0, 1, 2].map((axis) => positions[3 * (frame * n + k) + axis] * movie.step_A);
      const across = x * cy + z * sy, towards = z * cy - x * sy;
      found.push([x, y, z, middle[0] + scale * across, middle[1] + scale * (y * cp + towards * sp), towards * cp - y * sp]);
    }
    return found;
  }
  function path(corners) {
    pen.beginPath();
    corners.forEach((p, k) => (k ? pen.lineTo(p[3], p[4]) : pen.moveTo(p[3], p[4])));
  }
  function draw() {
    const frame = Number(slider.value), atoms = points(frame);
    pen.setTransform(ratio, 0, 0, ratio, 0, 0);
    pen.clearRect(0, 0, canvas.width, canvas.height);
    for (const ring of movie.rings[frame]) {
      path(ring.map((k) => atoms[k]));
      pen.fillStyle = movie.ring_colors[ring.length] || movie.other_color;
      pen.fill();
    }
    pen.strokeStyle = movie.bond_color;
    pen.lineWidth = Math.max(1, 0.12 * scale);
    for (let i = 0; i < n; i++) {
      for (let j = 0; j < i; j++) {
        const [dx, dy, dz] = [0, 1, 2].map((axis) => atoms[i][axis] - atoms[j][axis]);
        const longest = movie.bonds_A[movie.symbols[i]][movie.symbols[j]];
        if (dx * dx + dy * dy + dz * dz <= longest * longest) {
          path([atoms[i], atoms[j]]);
          pen.stroke();
        }
      }
    }
    pen.strokeStyle = "#fff";
    pen.lineWidth = 0.6;
    for (const k of [...atoms.keys()].sort((i, j) => atoms[i][5] - atoms[j][5])) {
      pen.beginPath();
      pen.arc(atoms[k][3], atoms[k][4], scale * movie.radii_A[movie.symbols[k]], 0, 2 * Math.PI);
      pen.fillStyle = movie.colors[movie.symbols[k]];
      pen.fill();
      pen.stroke();
    }
    text.value = movie.times_fs[frame].toLocaleString("en", {maximumFractionDigits: 1}) + " fs";
  }
  function stop() {
    clearInterval(timer);
    timer = null;
    button.textContent = "Play";
  }
  button.addEventListener("click", () => {
    if (timer) return stop();
    button.textContent = "Stop";
    timer = setInterval(() => {
      slider.value = (Number(slider.value) + 1) % movie.times_fs.length;
      draw();
    }, 80);
  });
  slider.addEventListener("input", () => { stop(); draw(); });
  canvas.addEventListener("pointermove", (event) => {
    if (!event.buttons) return;
    yaw += event.movementX / 150;
    pitch += event.movementY / 150;
    draw();
  });
  canvas.addEventListener("dblclick", () => { yaw = pitch = 0; draw(); });
  draw();
}
document.querySelectorAll("figure[data-movie]").forEach(player);
