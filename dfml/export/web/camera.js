// A dialog with the camera's picture; each press of the button gives one to whoever opened it.
const dialog = document.getElementById("camera");
const video = dialog.querySelector("video");
const told = dialog.querySelector("[role=status]");
const shoot = dialog.querySelector("[data-shoot]");

function stop() {
  for (const track of video.srcObject?.getTracks() ?? []) track.stop();
  video.srcObject = null;
}

export async function openCamera(target, take) {
  dialog.querySelector("h2").textContent = target;
  told.textContent = "Waiting for the camera …";
  shoot.disabled = true;
  let taken = 0;
  shoot.onclick = () => {
    const canvas = document.createElement("canvas");
    [canvas.width, canvas.height] = [video.videoWidth, video.videoHeight];
    canvas.getContext("2d").drawImage(video, 0, 0);
    take(canvas);
    taken += 1;
    told.textContent = taken === 1 ? "1 picture taken" : `${taken} pictures taken`;
  };
  dialog.showModal();
  try {
    const stream = await navigator.mediaDevices.getUserMedia({ video: { width: 640, height: 480 } });
    video.srcObject = stream;
    if (!dialog.open) {
      stop();
      return;
    }
    await video.play();
    shoot.disabled = false;
    told.textContent = "";
    shoot.focus();
  } catch {
    told.textContent = "No camera: there is none, or this page may not use it (browsers allow it on https and localhost).";
  }
}

dialog.addEventListener("close", stop);
